"""Java is found where it is named or on PATH, and what is wrong with it is said."""

import os
from pathlib import Path

import pytest

from atrkit.metrics.captioning.catalogue import Lack
from atrkit.metrics.captioning.java import Java, find_java


def program(folder: Path, script: str, name: str = "java") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def says(*lines: str) -> str:
    return "\n".join(f"echo '{line}' >&2" for line in lines)


@pytest.mark.parametrize(
    ("lines", "version", "major"),
    [
        (['openjdk version "17.0.15" 2025-04-15', "OpenJDK Runtime Environment"], "17.0.15", 17),
        (['java version "1.8.0_382"'], "1.8.0_382", 8),
        (['openjdk version "22-ea" 2024-03-19'], "22-ea", 22),
        (["Picked up JAVA_TOOL_OPTIONS: -Xss4m", 'openjdk version "11.0.20.1"'], "11.0.20.1", 11),
    ],
)
def test_a_version_is_read_from_whatever_java_says(tmp_path, lines, version, major):
    path = program(tmp_path, says(*lines))
    assert find_java({"PATH": str(tmp_path)}) == Java(str(path), version, major)


def test_the_variable_wins_over_path(tmp_path):
    program(tmp_path / "on_path", says('openjdk version "17.0.1"'))
    named = program(tmp_path / "elsewhere", says('openjdk version "11.0.1"'), "java-11")
    environment = {"PATH": str(tmp_path / "on_path"), "AAC_METRICS_JAVA_PATH": str(named)}
    assert find_java(environment) == Java(str(named), "11.0.1", 11)


def test_no_java_is_said_with_the_command_that_installs_it(tmp_path):
    lack = find_java({"PATH": str(tmp_path)})
    assert isinstance(lack, Lack)
    assert lack.what == "Java is not installed"
    assert "apt install openjdk-17-jre-headless" in lack.fix
    assert "$AAC_METRICS_JAVA_PATH" in lack.fix


def test_a_variable_that_names_nothing_is_said(tmp_path):
    program(tmp_path, says('openjdk version "17.0.1"'))
    lack = find_java({"PATH": str(tmp_path), "AAC_METRICS_JAVA_PATH": "/nowhere/java"})
    assert lack == Lack("$AAC_METRICS_JAVA_PATH names /nowhere/java, which is no program", lack.fix, need="java")


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("echo 'No Java runtime present, requesting install.' >&2; exit 1", "{} is no Java that runs"),
        (says("hello"), "{} is no Java that runs"),
        (says('java version "1.7.0_80"'), "{} is Java 1.7.0_80, and 8 is the oldest that will do"),
    ],
)
def test_what_is_no_usable_java_is_not_taken_for_one(tmp_path, script, what):
    path = program(tmp_path, script)
    lack = find_java({"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"})
    assert lack == Lack(what.format(path), lack.fix, need="java")


def test_a_program_named_from_here_is_named_from_everywhere(tmp_path, monkeypatch):
    path = program(tmp_path, says('openjdk version "17.0.1"'))
    monkeypatch.chdir(tmp_path)
    assert find_java({"AAC_METRICS_JAVA_PATH": "./java"}) == Java(str(path), "17.0.1", 17)

import math

import pytest
import torch
from torch import nn

from atrkit.errors import UsageError
from atrkit.training.optimisation import OptimizerSettings, learning_rate, make_optimizer


def rates(settings: OptimizerSettings, *, steps_per_epoch: int, epochs: int) -> list[float]:
    return [
        learning_rate(settings, step=step, steps_per_epoch=steps_per_epoch, epochs=epochs)
        for step in range(steps_per_epoch * epochs)
    ]


def test_constant() -> None:
    assert rates(OptimizerSettings(lr=0.1, schedule="constant"), steps_per_epoch=2, epochs=2) == [0.1] * 4


def test_cosine_falls_with_every_step_as_torch_says() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
    expected = []
    for _ in range(30):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates(OptimizerSettings(lr=0.1, schedule="cosine"), steps_per_epoch=5, epochs=6) == pytest.approx(expected)


def test_cosine_per_epoch_is_the_formula_of_paper_004() -> None:
    lr_0, epochs = 5e-4, 400
    measured = rates(OptimizerSettings(lr=lr_0, schedule="cosine_per_epoch"), steps_per_epoch=3, epochs=epochs)
    for k in range(epochs):
        assert measured[3 * k : 3 * k + 3] == pytest.approx([0.5 * (1 + math.cos(k * math.pi / epochs)) * lr_0] * 3)


@pytest.mark.parametrize(("step_epochs", "step_factor"), [(20, 0.1), (3, 0.5)])
def test_step_is_that_of_torch(step_epochs: int, step_factor: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=step_epochs, gamma=step_factor)
    expected = []
    for _ in range(50):
        expected += [optimizer.param_groups[0]["lr"]] * 2
        optimizer.step()
        scheduler.step()
    settings = OptimizerSettings(lr=1e-4, schedule="step", step_epochs=step_epochs, step_factor=step_factor)
    assert rates(settings, steps_per_epoch=2, epochs=50) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("steps", "rise"), [(100, None), (10, None), (40, 0.1), (7, 0.5)])
def test_one_cycle_is_that_of_torch(steps: int, rise: float | None) -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=steps, pct_start=rise or 0.3)
    expected = []
    for step in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    settings = OptimizerSettings(lr=0.3, schedule="one_cycle", warmup_fraction=rise)
    assert rates(settings, steps_per_epoch=1, epochs=steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("steps", range(1, 6))
@pytest.mark.parametrize("rise", [None, 0.0, 0.5, 1.0])
def test_the_shortest_trainings_have_a_rate_at_every_step(steps: int, rise: float | None) -> None:
    for schedule in ("constant", "cosine", "cosine_per_epoch", "one_cycle", "step"):
        settings = OptimizerSettings(lr=1.0, schedule=schedule, warmup_fraction=rise)
        assert all(0 <= rate <= 1 for rate in rates(settings, steps_per_epoch=1, epochs=steps))


def test_warmup_rises_linearly_to_the_schedule() -> None:
    settings = OptimizerSettings(lr=1.0, schedule="constant", warmup_fraction=0.4)
    assert rates(settings, steps_per_epoch=5, epochs=2) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1])


def test_an_unknown_schedule_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match="choose constant, cosine"):
        rates(OptimizerSettings(lr=1.0, schedule="linear"), steps_per_epoch=1, epochs=1)  # type: ignore[arg-type]


def small_model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.ModuleDict({"linear": nn.Linear(2, 2), "lstm": nn.LSTM(2, 2), "norm": nn.LayerNorm(2)})


@pytest.mark.parametrize("decay_biases", [True, False])
def test_weight_decay_alone_shrinks_weights_and_spares_biases_on_demand(decay_biases: bool) -> None:
    model = small_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    make_optimizer(model, OptimizerSettings(lr=0.1, weight_decay=2.0, decay_biases=decay_biases)).step()
    for name, parameter in model.named_parameters():
        shrunk = torch.full_like(parameter, 0.8)  # 1 - lr * weight_decay
        is_spared = "bias" in name and not decay_biases
        torch.testing.assert_close(parameter.detach(), torch.ones_like(parameter) if is_spared else shrunk, msg=name)


def test_a_step_is_that_of_the_adamw_paper() -> None:
    parameter = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    model = nn.ParameterDict({"weight": parameter})
    settings = OptimizerSettings(lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.5)
    optimizer = make_optimizer(model, settings)
    value, mean, square = parameter.detach().clone(), torch.zeros(2), torch.zeros(2)
    for t in (1, 2, 3):
        gradient = torch.tensor([0.5, -0.1], dtype=torch.float64) * t
        parameter.grad = gradient.clone()
        optimizer.step()
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        value = value * (1 - 0.01 * 0.5)
        value = value - 0.01 * (mean / (1 - 0.8**t)) / ((square / (1 - 0.9**t)).sqrt() + 1e-6)
    torch.testing.assert_close(parameter.detach(), value)


def test_frozen_parameters_are_left_out() -> None:
    model = small_model()
    model["lstm"].requires_grad_(False)
    optimizer = make_optimizer(model, OptimizerSettings(lr=1.0))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4
    with pytest.raises(UsageError, match="all of it is frozen"):
        make_optimizer(model.requires_grad_(False), OptimizerSettings(lr=1.0))

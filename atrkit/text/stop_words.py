"""English stop words: words without content of their own, which a caption may well say twice."""

_WORDS = """
    a about above after again against ain all am an and any are aren arent as at be because been before being
    below between both but by can couldn couldnt d did didn didnt do does doesn doesnt doing don dont down
    during each few for from further had hadn hadnt has hasn hasnt have haven havent having he her here hers
    herself him himself his how i if in into is isn isnt it its itself just ll m ma me mightn mightnt more most
    mustn mustnt my myself needn neednt no nor not now o of off on once only or other our ours ourselves out
    over own re s same shan shant she shes should shouldn shouldnt shouldve so some such t than that thatll the
    their theirs them themselves then there these they this those through to too under until up ve very was wasn
    wasnt we were weren werent what when where which while who whom why will with won wont wouldn wouldnt y you
    youd youll your youre yours yourself yourselves youve
"""

STOP_WORDS = frozenset(_WORDS.split())
"""NLTK's English stop words in the form that normalised captions have: "don't" is "dont", "it's" and "its" are one.

Source: paper 004, section 3.3, names "stop words defined in the NLTK package"; these are the 179 of NLTK's data
package `stopwords` as it was in 2023, which are 178 without apostrophes. Later ones have some more ("he'd", "we're").
"""

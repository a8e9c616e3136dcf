from __future__ import annotations

import numpy as np
import pytest

from fer_bench.errors import BadDataError
from fer_bench.labels import EMO8, EMO24, EMO24_TO_EMO8, FER7, FER8, LABEL_SETS, class_map, wheel_distance


def test_orders_are_those_of_the_datasets():
    assert FER7.names == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert FER8.names == ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
    assert EMO8.names == ("joy", "trust", "fear", "surprise", "sadness", "disgust", "anger", "anticipation")


@pytest.mark.parametrize("name", LABEL_SETS)
def test_every_name_and_synonym_finds_its_class(name):
    labels = LABEL_SETS[name]
    assert len(set(labels.names)) == len(labels)
    for position, label in enumerate(labels.names):
        assert labels.index(f"  {label.upper()} ") == position
    for synonym in labels.synonyms:
        assert synonym not in labels.names
        found = labels.find(synonym)
        assert found is None or labels.names[found] == labels.synonyms[synonym]


def test_a_label_of_another_set_is_refused_with_the_right_ones():
    assert FER7.find("bored") is None
    assert FER7.find("contempt") is None
    with pytest.raises(BadDataError, match="label 'bored' is not one of fer7: angry, disgust"):
        FER7.index("bored")


def test_maps_between_sets_are_by_meaning():
    there = class_map(FER7, FER8)
    assert [FER8.names[i] for i in there] == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    back = class_map(FER8, FER7)
    assert back.tolist() == [6, 3, 5, 4, 0, 1, 2, -1]
    assert (back[there] == np.arange(7)).all()
    assert class_map(EMO8, FER7).tolist() == [3, -1, 2, 5, 4, 1, 0, -1]
    for labels in (FER7, FER8, EMO8, EMO24):
        assert class_map(labels, labels).tolist() == list(range(len(labels)))


def test_distances_on_the_wheel():
    assert [wheel_distance(0, i) for i in range(8)] == [0, 1, 2, 3, 4, 3, 2, 1]
    for labels in (EMO8, EMO24, LABEL_SETS["arousal3"], LABEL_SETS["valence3"]):
        d = np.array(labels.distances)
        assert d.shape == (len(labels), len(labels))
        assert (d == d.T).all()
        assert (d.diagonal() == 0).all()
        assert (d[:, None, :] <= d[:, :, None] + d[None, :, :]).all()
    # Joy and sadness, trust and disgust, fear and anger, surprise and anticipation are opposite.
    for a, b in (("joy", "sadness"), ("trust", "disgust"), ("fear", "anger"), ("surprise", "anticipation")):
        assert EMO8.distances[EMO8.index(a)][EMO8.index(b)] == 4


def test_intensities_belong_to_their_leaf():
    for name, leaf in (
        ("ecstasy", "joy"),
        ("serenity", "joy"),
        ("terror", "fear"),
        ("boredom", "disgust"),
        ("interest", "anticipation"),
    ):
        assert EMO8.names[EMO24_TO_EMO8[EMO24.index(name)]] == leaf
    assert EMO24.distances[EMO24.index("ecstasy")][EMO24.index("serenity")] == 0

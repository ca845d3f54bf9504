"""The table of defects: validation, and CSV both ways with napari's own reader and writer."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from qpi_kernels.defects import (
    DefectFormatError,
    Defects,
    by_kind,
    inside_mask,
    snap_positions,
    without_duplicates,
)
from qpi_kernels.defects.variables import defect_variables, defects_of

finite = st.floats(-1e6, 1e6)


@pytest.fixture
def mixed():
    return Defects([[1.25, 2.5], [-3.0, 40.125], [7.1, 8.2]], ["a", "b", "a"], [1.0, 0.5, -2.0])


def test_defaults_are_one_kind_of_unit_strength():
    table = Defects([[1, 2], [3, 4]])
    assert table.counts() == {"defect": 2}
    assert table.strength.tolist() == [1.0, 1.0]


def test_an_empty_list_is_an_empty_table():
    table = Defects([])
    assert len(table) == 0
    assert table.positions.shape == (0, 2)
    assert table.activation((4, 5)).shape == (4, 5)


@pytest.mark.parametrize(
    ("positions", "options", "words"),
    [
        ([[1, 2, 3]], {}, r"\(N, 2\)"),
        ([1, 2], {}, r"\(N, 2\)"),
        ([[1, np.nan]], {}, "finite"),
        ([[1, 2]], {"strength": [np.inf]}, "finite"),
        ([[1, 2]], {"kind": ["a", "b"]}, "one entry per defect"),
        ([[1, 2]], {"strength": [1, 2]}, "one entry per defect"),
    ],
)
def test_what_is_not_a_table_is_refused(positions, options, words):
    with pytest.raises(DefectFormatError, match=words):
        Defects(positions, **options)


def test_columns_can_not_be_changed_behind_a_result(mixed):
    with pytest.raises(ValueError, match="read-only"):
        mixed.positions[0, 0] = 5.0


def test_kinds_keep_their_order_and_split_and_join(mixed):
    assert mixed.kinds == ("a", "b")
    tables = by_kind(mixed)
    assert list(tables) == ["a", "b"]
    assert Defects.concatenate(tables.values()) == mixed[np.array([0, 2, 1])]
    assert Defects.concatenate([]) == Defects([])


@given(
    rows=st.lists(
        st.tuples(finite, finite, st.text("abcß ,;\"'-", min_size=1), finite),
        min_size=0,
        max_size=6,
    )
)
def test_csv_keeps_every_digit_and_letter(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "defects.csv"
    table = Defects(
        [row[:2] for row in rows], [row[2] for row in rows] or None, [row[3] for row in rows]
    )
    table.to_csv(path)
    assert Defects.from_csv(path) == table


def test_napari_reads_our_csv_as_points(mixed, tmp_path):
    from napari_builtins.io import napari_get_reader

    path = tmp_path / "defects.csv"
    mixed.to_csv(path)
    ((data, attributes, layer_type),) = napari_get_reader(str(path))(str(path))
    assert layer_type == "points"
    np.testing.assert_array_equal(data, mixed.positions)
    assert list(attributes["properties"]["kind"]) == ["a", "b", "a"]
    np.testing.assert_array_equal(attributes["properties"]["strength"], mixed.strength)


def test_we_read_what_napari_saves(mixed, tmp_path):
    from napari.layers import Points
    from napari_builtins.io import napari_write_points

    layer = Points(mixed.positions, features={"kind": mixed.kind, "strength": mixed.strength})
    path = tmp_path / "points.csv"
    assert napari_write_points(str(path), *layer.as_layer_data_tuple()[:2])
    assert Defects.from_csv(path) == mixed


def test_points_of_a_bias_cube_lose_their_bias_axis(tmp_path):
    from napari_builtins.io import napari_write_points

    path = tmp_path / "points.csv"
    napari_write_points(str(path), np.array([[12.0, 3.0, 4.5]]), {})
    assert Defects.from_csv(path) == Defects([[3.0, 4.5]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "axis-0"),
        ("row,col\n1,2\n", "axis-0"),
        ("index,axis-0,axis-1\n0,1,two\n", "not a number"),
        ("index,axis-0,axis-1\n0,1\n", "not a number"),
        ("index,axis-0,axis-1\n0,1,nan\n", "finite"),
    ],
)
def test_unusable_csv_is_refused_in_words(text, words, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DefectFormatError, match=words):
        Defects.from_csv(path)


def test_binary_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(DefectFormatError, match=r"bad\.csv"):
        Defects.from_csv(path)
    with pytest.raises(DefectFormatError, match=r"none\.csv"):
        Defects.from_csv(tmp_path / "none.csv")


def test_the_first_or_the_better_of_duplicates_stays():
    table = Defects([[0, 0], [10, 10], [0.5, 0.5], [10, 11.5]], ["a", "a", "b", "a"])
    assert without_duplicates(table, 1.0) == table[np.array([0, 1, 3])]
    assert without_duplicates(table, 2.0) == table[np.array([0, 1])]
    assert without_duplicates(table, 2.0, score=[1, 2, 3, 4]) == table[np.array([2, 3])]
    assert without_duplicates(Defects([]), 2.0) == Defects([])
    with pytest.raises(DefectFormatError, match="score"):
        without_duplicates(table, 2.0, score=[1.0])


def test_a_mask_keeps_what_lies_on_true_pixels():
    mask = np.ones((10, 20), bool)
    mask[:, 10:] = False
    table = Defects([[5, 9.4], [5, 9.6], [-2, 3], [5, 15], [9.4, 0]])
    assert inside_mask(table, mask) == table[np.array([0, 4])]
    assert inside_mask(table, mask, keep_outside_image=True) == table[np.array([0, 2, 4])]
    with pytest.raises(DefectFormatError, match="2-D"):
        inside_mask(table, np.ones(5, bool))


def test_a_missing_csv_is_called_so(tmp_path):
    with pytest.raises(DefectFormatError, match=r"nowhere\.csv: no such file$"):
        Defects.from_csv(tmp_path / "nowhere.csv")


def test_defects_are_counted_in_words():
    counted = [Defects(np.zeros((count, 2))).in_words() for count in (0, 1, 2)]
    assert counted == ["0 defects", "1 defect", "2 defects"]


def test_probabilities_stay_with_their_defects(tmp_path):
    sure = Defects([(1, 2), (3, 4)])
    np.testing.assert_array_equal(sure.probability, [1.0, 1.0])
    sure.to_csv(tmp_path / "sure.csv")
    assert "probability" not in (tmp_path / "sure.csv").read_text()
    found = Defects([(1, 2), (3, 4)], probability=[0.9, 0.6])
    found.to_csv(tmp_path / "found.csv")
    assert Defects.from_csv(tmp_path / "found.csv") == found
    assert found != sure
    assert defects_of(xr.Dataset(defect_variables(found))) == found
    assert Defects.concatenate([found[1:], found[:1]]).probability.tolist() == [0.6, 0.9]
    assert found.moved([(0, 0), (1, 1)]).probability.tolist() == [0.9, 0.6]
    with pytest.raises(DefectFormatError, match="probability"):
        Defects([(1, 2)], probability=[0.9, 0.6])


@pytest.mark.parametrize("probability", [[-0.1], [1.01]])
def test_a_probability_beyond_0_to_1_is_refused(probability):
    with pytest.raises(DefectFormatError, match="within 0 to 1"):
        Defects([[1, 2]], probability=probability)


def test_other_places_and_strengths_keep_kind_and_probability():
    table = Defects([[1, 2], [3, 4]], ["a", "b"], [1.0, 2.0], [0.25, 0.75])
    changed = table.moved(table.positions + 1).with_strength([5.0, 6.0])
    assert changed == Defects([[2, 3], [4, 5]], ["a", "b"], [5.0, 6.0], [0.25, 0.75])
    assert snap_positions(np.eye(8), table).probability.tolist() == [0.25, 0.75]

"""The reasoning of the offline model: from names, values and relations to a mapping."""

import io
import json
from dataclasses import asdict
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crews.definition import Registry
from crews.import_mapping.blocks import json_objects
from crews.import_mapping.evidence import column
from crews.import_mapping.lessons import Lesson, line
from crews.import_mapping.matching import propose, review
from crews.import_mapping.names import likeness
from crews.import_mapping.profile import profile_csv
from crews.import_mapping.skill import (
    NAMES_ALONE,
    SURE_ONLY,
    map_columns,
    merged,
)
from infra.mapping_score import CREW, default_target, map_file, score, truths

TARGET = default_target()


def columns(text: str):
    profile = asdict(profile_csv(io.BytesIO(text.encode())))
    return [column(entry, profile["rows"]) for entry in profile["columns"]]


def mapping(text: str, *lessons: str, target=TARGET) -> dict[str, str | None]:
    return {entry["column"]: entry["field"] for entry in propose(columns(text), target, lessons)}


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("ST_NUM", "street number"),
        ("StreetNbr", "street number"),
        ("HOUSENBR", "house number"),
        ("hno", "house no"),
        ("POSTNR", "post nummer"),
        ("gis.dbo.ZIP_CODE", "zip code"),
        ("Hausnr.", "haus nummer"),
        ("E-Mail.", "e mail"),
        ("Countyy", "county"),
        ("Straße", "strasse"),
        ("Hausnumer", "haus nummer"),
        ("PreDir", "direction prefix"),
        ("市区町村名", "市区町村"),
    ],
)
def test_a_name_spells_a_phrase_whole_short_or_with_a_slip(name: str, phrase: str):
    assert likeness(name, [phrase]) >= 0.7


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("STATUS", "state"),
        ("PAGE", "postal code"),
        ("country", "county"),
        ("contract", "contact"),
        ("Employer", "employee"),
        ("Approved", "approver"),
        ("Page", "age"),
        ("Update", "date"),
    ],
)
def test_a_name_that_only_shares_letters_spells_nothing(name: str, phrase: str):
    assert likeness(name, [phrase]) < 0.5


def test_what_is_left_over_of_a_name_costs_but_neutral_words_do_not():
    assert likeness("unit_type", ["unit"]) < likeness("unit_name", ["unit"], frozenset({"name"}))


@given(st.text(max_size=40), st.text(max_size=40))
def test_likeness_is_a_share_for_any_text(name: str, phrase: str):
    assert 0 <= likeness(name, [phrase]) <= 1


def test_points_of_abbreviations_take_no_words_away():
    text = "Lfd. Nr.;Str.;Hausnr.;Plz.;Ort.;Bundesl.\n"
    rows = "".join(f"{n};Weg {n};{n % 5};{10_000 + n};Bonn;NW\n" for n in range(20))
    fields = ["id", "street", "number", "postcode", "city", "region"]
    assert [*mapping(text + rows).values()] == fields
    target = {"properties": {"name": {}, "email": {}}}
    found = mapping("Name,Mgr. Email,Email\nA,m@a.b,a@a.b\nB,m@a.b,b@a.b\n", target=target)
    assert found == {"Name": "name", "Mgr. Email": None, "Email": "email"}


def test_a_column_named_as_a_field_that_its_values_cannot_be_says_so():
    target = {"properties": {"amount": {"type": "number"}}}
    [entry, _] = propose(columns("Amount,x\nsoon,a\nlater,b\n"), target)
    assert entry["reason"] == "its name says amount, but its values are no numbers"
    assert (entry["field"], entry["confidence"]) == (None, 0.5)


def test_values_that_break_the_schema_rule_a_column_out():
    found = mapping("lat,lon,zip\n6051028.5,2122450.6,Oakland\n6051081.9,2122514.6,Albany\n")
    assert found == {"lat": None, "lon": None, "zip": None}


def test_x_and_y_are_coordinates_only_in_degrees():
    degrees, metres = (
        "X,Y\n-122.26,37.86\n-122.27,37.87\n",
        "X,Y\n564676.4,4191178.8\n564983.3,4191185.8\n",
    )
    assert mapping(degrees) == {"X": "lon", "Y": "lat"}
    assert mapping(metres) == {"X": None, "Y": None}


def test_a_street_without_a_telling_name_is_known_by_its_values():
    assert mapping("a,b\nGalvanistraat,x\nHoofdstraat,y\n")["a"] == "street"


def test_parts_of_a_street_are_all_taken():
    text = "no,dir,name,type\n12,N,MAIN,ST\n14,S,OAK,AVE\n9,N,ELM,RD\n"
    found = mapping(text.replace("name", "street_name"))
    assert found == {"no": "number", "dir": "street", "street_name": "street", "type": "street"}


def test_a_column_that_joins_the_parts_of_a_street_replaces_them():
    text = (
        "num,st_name,st_type,label,everything\n12,MAIN,ST,MAIN ST,12 MAIN ST\n"
        "14,OAK HILL,AVE,OAK HILL AVE,14 OAK HILL AVE\n9,ELM,RD,ELM RD,9 ELM RD\n"
    )
    assert mapping(text) == {
        "num": "number",
        "st_name": None,
        "st_type": None,
        "label": "street",
        "everything": None,
    }


def test_words_of_a_full_address_that_nothing_explains_are_the_street():
    text = "house,qqq,whole\n12,MAIN,12 MAIN\n14,OAK HILL,14 OAK HILL\n9,ELM,9 ELM\n"
    assert mapping(text) == {"house": "number", "qqq": "street", "whole": None}


def test_of_a_name_in_several_languages_the_first_filled_is_taken():
    text = "street_de,street_fr,street_nl\n,Rue Neuve,Nieuwstraat\n,Rue Haute,Hoogstraat\n"
    assert mapping(text) == {"street_de": None, "street_fr": "street", "street_nl": None}


def test_an_identifier_differs_in_every_row():
    assert mapping("ref,x\nA1,p\nA2,p\nA3,q\n")["ref"] == "id"
    assert mapping("ref,x\nA1,p\nA1,p\nA3,q\n")["ref"] is None


def test_a_field_without_parts_takes_one_column():
    assert list(mapping("zip,zipcode\n94704,94704\n94705,94705\n").values()).count("postcode") == 1


def test_a_lesson_outweighs_all_evidence_whatever_the_case_and_punctuation():
    text = "BOKST,zip\nA,94704\nB,94705\n"
    assert mapping(text, f"- {line(Lesson('bokst', 'unit'))}")["BOKST"] == "unit"
    assert mapping(text, line(Lesson("ZIP", None)))["zip"] is None
    assert mapping(text, 'column "BOKST" -> postcode')["zip"] != "postcode"
    assert mapping(text, 'column "BOKST" -> nonsense')["BOKST"] is None


def test_another_target_schema_gives_another_mapping():
    target = {
        "properties": {
            "email": {"type": "string", "pattern": "@"},
            "amount": {"type": "number", "description": "Total amount, in euros", "minimum": 0},
        }
    }
    found = mapping("E-Mail,TotalAmt,note\na@b.c,12.5,x\nd@e.f,7.25,y\n", target=target)
    assert found == {"E-Mail": "email", "TotalAmt": "amount", "note": None}


def test_a_review_lets_nothing_through_that_the_schema_contradicts():
    text = "lat,a,b,c\n37.8,94704,94705,z\n37.9,94706,94707,z\n"
    claims = {"lat": ("lat", 0.9), "a": ("postcode", 0.6), "b": ("postcode", 0.8)}
    proposal = [
        {"column": name, "field": field, "confidence": sure, "reason": ""}
        for name, (field, sure) in claims.items()
    ]
    reviewed = review(columns(text), TARGET, proposal)
    assert [entry["field"] for entry in reviewed] == ["lat", None, "postcode", None]
    wrong = [{"column": "c", "field": "lat", "confidence": 1}, {"column": "a", "field": "moon"}]
    assert {entry["field"] for entry in review(columns(text), TARGET, wrong)} == {None}


def test_the_skill_reads_profile_schema_proposal_and_lessons_from_a_prompt():
    profile = json.dumps(asdict(profile_csv(io.BytesIO(b"zip,q\n94704,A\n94705,B\n"))))
    asked = f"Propose.\n{json.dumps(TARGET)}\n" + 'column "q" -> unit\n' + profile
    proposal = map_columns(asked)
    assert proposal is not None
    assert [e["field"] for e in json.loads(proposal)["columns"]] == ["postcode", "unit"]
    reviewed = map_columns(f"Review.\n{json.dumps(TARGET)}\n{profile}\n{proposal}")
    assert reviewed is not None
    assert [e["field"] for e in json.loads(reviewed)["columns"]] == ["postcode", "unit"]
    assert map_columns("What is the weather?") is None


def test_a_cell_that_reads_like_a_lesson_teaches_nothing():
    cell = '"column ""zip"" -> id"'
    profile = json.dumps(
        asdict(profile_csv(io.BytesIO(f"zip,q\n94704,{cell}\n94705,B\n".encode())))
    )
    answer = map_columns(f"Propose.\n{json.dumps(TARGET)}\n{profile}")
    assert answer is not None
    assert json.loads(answer)["columns"][0]["field"] == "postcode"


def test_json_is_found_among_braces_that_are_none():
    assert list(json_objects('see {this} and {"a": {"b": 1}} and [1]')) == [{"a": {"b": 1}}]


def test_over_the_example_files_the_mean_f1_stays_above_nine_tenths():
    scores = {
        name: score(map_file(CREW / "examples" / name, TARGET), truth).f1
        for name, truth in truths().items()
    }
    assert fmean(scores.values()) >= 0.9, scores


def test_a_score_counts_pairs_over_all_columns():
    claimed = [
        {"column": "a", "field": "id"},
        {"column": "b", "field": "city"},
        {"column": "c", "field": None},
    ]
    found = score(claimed, {"a": "id", "c": "unit"})
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)


def prompted(words: str, text: str) -> dict[str, str | None]:
    """What the skill maps, asked by an agent of these words."""
    profile = json.dumps(asdict(profile_csv(io.BytesIO(text.encode()))))
    answer = map_columns(f"{words}\n{json.dumps(TARGET)}\n{profile}")
    assert answer is not None
    return {entry["column"]: entry["field"] for entry in json.loads(answer)["columns"]}


def test_an_agent_may_go_by_names_alone_or_only_by_what_is_sure():
    text = "a,zip\nGalvanistraat,94704\nHoofdstraat,94705\nKerkstraat,94706\nXyzzy,94707\n"
    by_its_values = {"a": "street", "zip": "postcode"}
    assert prompted("", text) == by_its_values
    assert prompted(NAMES_ALONE, text) == by_its_values | {"a": None}
    assert prompted(SURE_ONLY, text) == by_its_values | {"a": None}


def test_the_goals_of_the_crews_say_what_their_agents_go_by():
    registry = Registry(CREW.parent)
    agents = registry.get("import_mapping_consensus").agents
    assert NAMES_ALONE in agents["name_reader"].goal
    assert SURE_ONLY in agents["sceptic"].goal


def test_of_several_proposals_a_column_takes_what_most_say_then_what_is_surest():
    def say(field: str | None, confidence: float):
        return [{"column": "c", "field": field, "confidence": confidence}]

    assert merged([say("zip", 0.6), say(None, 0.9), say("zip", 0.7)])[0]["field"] == "zip"
    assert merged([say("zip", 0.6), say(None, 0.9)])[0]["field"] is None

"""Errors: codes in any spelling, and the side at fault."""

import pickle

import pytest

from chargehand.protocol.errors import Deviation, ErrorCode, InvalidPayload, OcppError, Refused, read_code

TOO_LONG = Deviation("idTag", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "is longer than 20 characters", '"x"')
MISSING = Deviation("", ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "is required")


@pytest.mark.parametrize("code", list(ErrorCode))
def test_a_canonical_code_is_read_as_itself(code: ErrorCode):
    assert read_code(code.value) is code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FormationViolation", ErrorCode.FORMATION_VIOLATION),
        ("FormatViolation", ErrorCode.FORMATION_VIOLATION),
        ("OccurenceConstraintViolation", ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
        ("OccurrenceConstraintViolation", ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
    ],
)
def test_a_code_is_read_in_the_spelling_of_either_version(text: str, code: ErrorCode):
    assert read_code(text) is code


@pytest.mark.parametrize("text", ["RpcError", "", "internalerror"])
def test_an_unknown_code_is_kept_as_text(text: str):
    assert read_code(text) == text
    assert type(read_code(text)) is str


def test_an_ocpp_error_keeps_255_characters_of_its_description():
    assert OcppError(ErrorCode.SECURITY_ERROR, "x" * 300).description == "x" * 255


def test_an_ocpp_error_has_details_of_its_own():
    details = {"why": "because"}
    error = OcppError(ErrorCode.SECURITY_ERROR, "no", details)
    details["why"] = "changed"
    assert error.details == {"why": "because"}
    assert OcppError().details == {}


def test_an_ocpp_error_without_arguments_is_a_generic_error():
    error = OcppError()
    assert (error.code, error.description, str(error)) == (ErrorCode.GENERIC_ERROR, "", "GenericError")


def test_an_ocpp_error_refuses_a_code_that_is_none():
    with pytest.raises(ValueError, match="Nonsense"):
        OcppError("Nonsense")  # type: ignore[arg-type]


def test_an_ocpp_error_takes_the_text_of_a_code():
    assert OcppError("GenericError").code is ErrorCode.GENERIC_ERROR  # type: ignore[arg-type]


def test_an_invalid_payload_names_every_violation():
    error = InvalidPayload([TOO_LONG, MISSING], "Authorize")
    assert error.violations == (TOO_LONG, MISSING)
    assert str(error) == "Authorize: idTag is longer than 20 characters; payload is required"


def test_a_refusal_answers_with_the_first_violation():
    refused = Refused.by([TOO_LONG, MISSING])
    assert (refused.code, refused.path, refused.text) == (TOO_LONG.code, TOO_LONG.path, TOO_LONG.text)
    assert refused.violations == (TOO_LONG, MISSING)
    assert str(refused) == refused.description == "idTag is longer than 20 characters"


def test_a_refusal_without_violations_makes_its_own():
    refused = Refused(ErrorCode.FORMATION_VIOLATION, "is not a frame")
    assert refused.violations == (Deviation("", ErrorCode.FORMATION_VIOLATION, "is not a frame"),)
    assert str(refused) == "payload is not a frame"


def test_a_description_fits_into_a_call_error():
    assert len(Refused(ErrorCode.FORMATION_VIOLATION, "x" * 300).description) == 255


@pytest.mark.parametrize(
    "error",
    [
        OcppError(ErrorCode.SECURITY_ERROR, "no", {"a": 1}),
        InvalidPayload([TOO_LONG], "Authorize"),
        Refused.by([TOO_LONG, MISSING]),
    ],
)
def test_an_error_survives_pickling(error: Exception):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)

"""The criteria of Art. 68(1) as a table, and what a decision needs of them."""

from __future__ import annotations

from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import Assessment

CRITERIA: dict[str, str] = {
    "a": "The purposes are among those of Art. 53(1), and none is prohibited by Art. 54",
    "b": "The data asked for are needed, adequate and no more than the purpose takes (Art. 66)",
    "c": "Pseudonymised data stand on GDPR Art. 6(1), and anonymised data would not do",
    "d": "The applicant has the qualification and expertise that the purpose takes",
    "e": "Technical and organisational measures prevent misuse and protect holders and natural persons",
    "f": "Ethical aspects were assessed where national law asks for it",
    "g": "An exception from the opt-out has the justification that national law asks for (Art. 71(4))",
    "h": "All other requirements of Chapter IV are met",
}
"""Criteria of EHDS Art. 68(1)(a)-(h) by letter, in our own words; all must be met to grant."""

_RULE = "EHDS Art. 68(1)"


def check_assessment(assessment: Assessment, *, granting: bool, reason: str = "") -> None:
    """Check that an assessment carries the decision.

    Args:
        assessment: The assessor's answers. A grant needs all eight letters; a refusal at least one
            criterion that is not met, or a risk.
        granting: Whether the decision is to grant.
        reason: Justification; a refusal needs one.

    Raises:
        Invalid: A letter is unknown, doubled or missing, or a refusal has no reason.
        Refused: ``criteria-not-met``: a grant with a criterion that is not met, each named.
    """
    letters = [criterion.letter for criterion in assessment.criteria]
    wrong = [f"({letter}) is unknown" for letter in dict.fromkeys(letters) if letter not in CRITERIA]
    wrong += [f"({letter}) is answered twice" for letter in CRITERIA if letters.count(letter) > 1]
    if granting:
        wrong += [
            f"({letter}) is not answered: {CRITERIA[letter]}" for letter in CRITERIA if letter not in letters
        ]
    if wrong:
        raise Invalid(
            "assessment-incomplete", f"The assessment is not complete: {'; '.join(wrong)}", rule=_RULE
        )
    unmet = [criterion.letter for criterion in assessment.criteria if not criterion.met]
    if granting and unmet:
        raise Refused(
            "criteria-not-met",
            "A permit needs every criterion met, but the assessment says no to "
            + "; ".join(f"({letter}) {CRITERIA[letter]}" for letter in unmet),
            rule=_RULE,
            remedy="Ask the applicant back, permit less, or refuse with a reason.",
        )
    if not granting and not reason.strip():
        raise Invalid(
            "reason-missing",
            "A refusal needs a reason that the applicant and the public can read",
            rule="EHDS Art. 57(1)(j), 68(3)",
        )
    if not granting and not unmet and not assessment.risks.strip():
        raise Invalid(
            "refusal-unfounded",
            "A refusal needs a criterion that is not met, or a risk",
            rule="EHDS Art. 68(1), 68(2)",
            remedy="Say which criterion is not met, or describe the risk.",
        )

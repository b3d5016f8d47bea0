"""Signatures by certificates of ten minutes and the entry of a transparency log: what is none of them is not believed."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.stores import signing
from tests.support.stores.signing import Authority, Keyless, wanted
from tests.unit.serving_runtime.signedclaims import FILES, OTHER, Claim


@pytest.fixture
def keyless() -> Keyless:
    return Keyless()


def by_identity(keyless: Keyless, subject: str = signing.TEAM, issuer: str = signing.ISSUER) -> dict[str, Any]:
    return wanted(root=keyless.root(), identities=[{"subject": subject, "issuer": issuer}])


def test_a_keyless_signature_counts_long_after_its_certificate_ended(claim: Claim, keyless: Keyless) -> None:
    claim.put({}, json.dumps(keyless.bundle(signing.of_files("digits", FILES))).encode())
    claim.requirements = (by_identity(keyless),)
    outcome = claim.start()
    assert outcome.status == 0, outcome.message
    assert json.loads(outcome.message)["verification"]["signer"] == f"{signing.TEAM} ({signing.ISSUER})"


def late(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    """Taken up by the log when the certificate had ended."""
    moment = signing.now() - 50 * signing.DAY
    return keyless.bundle(signing.of_files("digits", FILES), taken=moment, begins=moment - signing.DAY)


def of_another_log(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    return Keyless(keyless.authority, signing.Log()).bundle(signing.of_files("digits", FILES))


def of_another_authority(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    return Keyless(Authority("Fulcio"), keyless.log).bundle(signing.of_files("digits", FILES))


def with_the_entry_of_another(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    other = keyless.bundle(signing.of_files("digits", OTHER))
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    return bundle


def logged_otherwise(bundle: dict[str, Any], keyless: Keyless, **said: str) -> dict[str, Any]:
    """The log has something else of the same statement."""
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    body = json.loads(base64.b64decode(entry["canonicalizedBody"]))
    body["spec"]["signatures"][0] |= said
    logged = keyless.log.entry(body, signing.now() - 100 * signing.DAY)
    bundle["verificationMaterial"]["tlogEntries"] = [logged]
    return bundle


def with_another_verifier(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    other = signing.pem(keyless.authority.signer().certificates[0])
    return logged_otherwise(bundle, keyless, verifier=signing.coded(other.encode()))


def with_another_signature(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    return logged_otherwise(bundle, keyless, signature=signing.coded(b"another"))


def with_another_time(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = "1"
    return bundle


def without_an_entry(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    del bundle["verificationMaterial"]["tlogEntries"]
    return bundle


def without_a_promise(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    del bundle["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"]
    return bundle


def without_a_proof(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    del bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    return bundle


def with_another_proof(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["hashes"].reverse()
    return bundle


def with_a_longer_proof(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    proof = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["hashes"].append(proof["hashes"][0])
    return bundle


def with_a_shorter_proof(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["hashes"].pop()
    return bundle


def with_a_foreign_checkpoint(bundle: dict[str, Any], keyless: Keyless) -> dict[str, Any]:
    proof = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["checkpoint"]["envelope"] = proof["checkpoint"]["envelope"].replace("\n5\n", "\n6\n")
    return bundle


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (late, "its certificate was valid from"),
        (of_another_log, "not by a log of the trust root"),
        (of_another_authority, "not by a trusted authority"),
        (with_the_entry_of_another, "that of another signature"),
        (with_another_verifier, "that of another signature"),
        (with_another_signature, "that of another signature"),
        (with_another_time, "not by a log of the trust root"),
        (without_an_entry, "no authority of such ones is trusted"),
        (without_a_promise, "gives no time"),
        (without_a_proof, "no proof that the log has it"),
        (with_another_proof, "is not in the log"),
        (with_a_longer_proof, "too long"),
        (with_a_shorter_proof, "too short"),
        (with_a_foreign_checkpoint, "not by the log"),
    ],
)
def test_a_keyless_signature_that_is_none(
    change: Callable[[dict[str, Any], Keyless], dict[str, Any]], said: str, claim: Claim, keyless: Keyless
) -> None:
    bundle = change(keyless.bundle(signing.of_files("digits", FILES)), keyless)
    claim.put({}, json.dumps(bundle).encode())
    claim.requirements = (by_identity(keyless),)
    outcome = claim.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert said in outcome.message


def test_the_first_bundles_have_a_promise_alone(claim: Claim, keyless: Keyless) -> None:
    bundle = without_a_proof(keyless.bundle(signing.of_files("digits", FILES)), keyless)
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"
    claim.put({}, json.dumps(bundle).encode())
    claim.requirements = (by_identity(keyless),)
    assert claim.start().status == 0


@pytest.mark.parametrize(("subject", "issuer"), [("other@example.com", signing.ISSUER), (signing.TEAM, "https://evil")])
def test_a_keyless_signature_of_somebody_else(subject: str, issuer: str, claim: Claim, keyless: Keyless) -> None:
    claim.put({}, json.dumps(keyless.bundle(signing.of_files("digits", FILES))).encode())
    claim.requirements = (by_identity(keyless, subject, issuer),)
    outcome = claim.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert "no trusted identity" in outcome.message


def test_a_certificate_must_be_in_a_log_where_the_trust_root_names_one(claim: Claim) -> None:
    keyless = Keyless(certificates=signing.Log("certificates.example.com"))
    statement = signing.of_files("digits", FILES)
    claim.requirements = (by_identity(keyless),)
    claim.put({}, json.dumps(keyless.bundle(statement)).encode())
    outcome = claim.start()
    assert outcome.status == 0, outcome.message
    unlogged = Keyless(keyless.authority, keyless.log).bundle(statement)
    for bundle in (unlogged, keyless.bundle(statement, logged=signing.Log())):
        claim.put({}, json.dumps(bundle).encode())
        outcome = claim.start()
        assert (outcome.status, outcome.files) == (1, {})
        assert "in no log of certificates" in outcome.message

"""What somebody may do to a signed model, each beside what resembles it and is right: not one byte of the first is served."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from sluice_storage.signing import verification

from tests.support.stores import signing
from tests.support.stores.signing import Authority, wanted
from tests.unit.serving_runtime.signedclaims import FILES, OLDER, OTHER, STRANGER, TEAM, TRUSTED, Claim


def flipped(claim: Claim) -> None:
    weights = claim.model / "weights/part-1.safetensors"
    body = bytearray(weights.read_bytes())
    body[len(body) // 2] ^= 1
    weights.write_bytes(body)


def touched(claim: Claim) -> None:
    weights = claim.model / "weights/part-1.safetensors"
    weights.write_bytes(weights.read_bytes())


def added(claim: Claim) -> None:
    claim.put({"modeling.py": b"import os"})


def added_what_signers_leave_out(claim: Claim) -> None:
    claim.put({".gitattributes": b"*.safetensors filter=lfs"})


def renamed(claim: Claim) -> None:
    (claim.model / "weights/part-1.safetensors").rename(claim.model / "weights/part-2.safetensors")


def signed_under_the_new_name(claim: Claim) -> None:
    renamed(claim)
    files = {"config.json": FILES["config.json"], "weights/part-2.safetensors": FILES["weights/part-1.safetensors"]}
    claim.put({}, TEAM.model("digits", files))


def removed(claim: Claim) -> None:
    (claim.model / "config.json").unlink()


def signed_without(claim: Claim) -> None:
    removed(claim)
    claim.put({}, TEAM.model("digits", {name: body for name, body in FILES.items() if name != "config.json"}))


def a_link(claim: Claim) -> None:
    """To the same bytes, which another could change later."""
    weights = claim.model / "weights/part-1.safetensors"
    weights.rename(claim.model / "weights/aside")
    weights.symlink_to("aside")
    (claim.model / "weights/aside").rename(claim.root / "aside")
    weights.unlink()
    weights.symlink_to(claim.root / "aside")


def a_link_inside(claim: Claim) -> None:
    claim.put({"aside": FILES["config.json"]}, TEAM.model("digits", {**FILES, "aside": FILES["config.json"]}))
    (claim.model / "config.json").unlink()
    (claim.model / "config.json").symlink_to("aside")


def a_hard_link(claim: Claim) -> None:
    """A file like any other."""
    weights = claim.model / "weights/part-1.safetensors"
    weights.rename(claim.root / "aside")
    weights.hardlink_to(claim.root / "aside")


def by_another_key(claim: Claim) -> None:
    claim.put({}, STRANGER.model("digits", FILES))


def by_the_second_key(claim: Claim) -> None:
    by_another_key(claim)
    claim.requirements = (wanted(keys=[TEAM.public, STRANGER.public]),)


def of_another_model(claim: Claim) -> None:
    claim.put({}, TEAM.model("letters", OTHER))


def another_model_with_its_signature(claim: Claim) -> None:
    claim.put(OTHER, TEAM.model("letters", OTHER))
    claim.requirements = (TRUSTED, wanted(keys=[TEAM.public], name="digits"))


def the_model_that_is_named(claim: Claim) -> None:
    claim.requirements = (TRUSTED, wanted(keys=[TEAM.public], name="digits"))


def an_older_version(claim: Claim) -> None:
    the_version_that_is_named(claim)
    claim.put(OLDER, TEAM.model("digits", OLDER))


def the_version_that_is_named(claim: Claim) -> None:
    (subject,) = signing.of_files("digits", FILES)["subject"]
    digest = f"sha256:{subject['digest']['sha256']}"
    claim.requirements = (TRUSTED, wanted(keys=[TEAM.public], digest=digest, by="spec.model.verify"))


def a_truncated_bundle(claim: Claim) -> None:
    signature = claim.model / "model.sig"
    signature.write_bytes(signature.read_bytes()[:-200])


def a_bundle_with_spaces(claim: Claim) -> None:
    signature = claim.model / "model.sig"
    signature.write_text(json.dumps(json.loads(signature.read_text()), indent=2))


def unsigned(claim: Claim) -> None:
    (claim.model / "model.sig").unlink()


def with_another_digest_inside(claim: Claim) -> None:
    """The payload says what lies there now, under the signature over what was signed."""
    claim.put(OTHER)
    bundle = json.loads((claim.model / "model.sig").read_text())
    bundle["dsseEnvelope"]["payload"] = signing.coded(json.dumps(signing.of_files("digits", OTHER)).encode())
    claim.put({}, json.dumps(bundle).encode())


def another_statement(claim: Claim) -> None:
    """By the right key, about the same files, but no signature of a model."""
    statement = signing.of_files("digits", FILES) | {"predicateType": "https://slsa.dev/provenance/v1"}
    claim.put({}, json.dumps(TEAM.bundle(statement)).encode())


def with_another_sum(claim: Claim) -> None:
    """Whoever pins a digest pins the files, and not what the signer calls their digest."""
    statement = signing.of_files("digits", FILES)
    statement["subject"][0]["digest"]["sha256"] = "0" * 64
    claim.put({}, json.dumps(TEAM.bundle(statement)).encode())


def in_shards(claim: Claim) -> None:
    claim.put({}, TEAM.model("digits", FILES, shard=65536))


def longer_than_its_shards(claim: Claim) -> None:
    in_shards(claim)
    claim.put({"config.json": FILES["config.json"] + b" "})


def without_a_shard(claim: Claim) -> None:
    statement = signing.of_files("digits", FILES, shard=65536)
    del statement["predicate"]["resources"][-2]
    rest = b"".join(bytes.fromhex(each["digest"]) for each in statement["predicate"]["resources"])
    statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(rest).hexdigest()
    claim.put({}, json.dumps(TEAM.bundle(statement)).encode())


def certified(claim: Claim, **more: Any) -> None:
    authority = Authority(above=Authority("Root"))
    assert authority.above is not None
    claim.put({}, authority.signer(**more).model("digits", FILES))
    identity = {"subject": signing.TEAM}
    claim.requirements = (wanted(authorities=[signing.pem(authority.above.certificate)], identities=[identity]),)


def an_expired_certificate(claim: Claim) -> None:
    certified(claim, begins=signing.now() - 10 * signing.DAY)


def a_certificate_that_is_valid(claim: Claim) -> None:
    certified(claim)


def a_certificate_of_somebody_else(claim: Claim) -> None:
    certified(claim)
    claim.put({}, Authority().signer().model("digits", FILES))


def a_certificate_for_another_name(claim: Claim) -> None:
    certified(claim)
    (requirement,) = claim.requirements
    claim.requirements = (requirement | {"trust": requirement["trust"] | {"identities": [{"subject": "a@b.example"}]}},)


def a_certificate_for_anything(claim: Claim) -> None:
    certified(claim)
    (requirement,) = claim.requirements
    claim.requirements = (requirement | {"trust": requirement["trust"] | {"identities": [{"subject": "models@*"}]}},)


def a_certificate_for_no_signatures(claim: Claim) -> None:
    certified(claim, for_signing=False)


def a_certificate_for_servers(claim: Claim) -> None:
    """Of an authority that also certifies web servers, whose keys are in many hands."""
    certified(claim, purposes=[ExtendedKeyUsageOID.SERVER_AUTH])


def a_certificate_for_anything_at_all(claim: Claim) -> None:
    certified(claim, purposes=[ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])


def an_authority_for_servers(claim: Claim) -> None:
    _under_an_authority(claim, ExtendedKeyUsageOID.SERVER_AUTH)


def an_authority_for_code(claim: Claim) -> None:
    _under_an_authority(claim, ExtendedKeyUsageOID.CODE_SIGNING)


def _under_an_authority(claim: Claim, purpose: x509.ObjectIdentifier) -> None:
    root = Authority("Root")
    claim.put({}, Authority(above=root, purposes=[purpose]).signer().model("digits", FILES))
    claim.requirements = (wanted(authorities=[signing.pem(root.certificate)], identities=[{"subject": signing.TEAM}]),)


def alone_in_a_folder(claim: Claim) -> None:
    """The signed folder lies alone in that which is asked for."""
    inner = claim.model.rename(claim.root / "inner")
    claim.model.mkdir()
    inner.rename(claim.model / "inner")


def with_a_file_named_as_evidence(claim: Claim) -> None:
    alone_in_a_folder(claim)
    claim.put({"inner/.sluice-signature": b"import os"})


def with_such_a_file_above(claim: Claim) -> None:
    alone_in_a_folder(claim)
    alone_in_a_folder(claim)
    claim.put({"inner/.sluice-signature": b"import os"})


def a_key_beside_its_certificate(claim: Claim) -> None:
    """A signature by a trusted authority's certificate, with the certificate taken away: the key itself is not trusted."""
    certified(claim)
    bundle = json.loads((claim.model / "model.sig").read_text())
    bundle["verificationMaterial"] = {"publicKey": {"hint": ""}, "tlogEntries": []}
    claim.put({}, json.dumps(bundle).encode())


Case = Callable[[Claim], None]

TAMPERED: dict[str, tuple[Case, Case, str]] = {
    # what is done to the model, its legitimate twin, and what the message says
    "a byte flipped": (flipped, touched, "is not the file that was signed"),
    "a file added": (added, added_what_signers_leave_out, "'modeling.py' is there and was not signed"),
    "a file renamed": (renamed, signed_under_the_new_name, "part-2.safetensors' is there and was not signed"),
    "a file removed": (removed, signed_without, "'config.json' was signed and is not there"),
    "a link": (a_link, a_hard_link, "is a link to a file outside"),
    "a link inside": (a_link_inside, a_hard_link, "cannot be copied"),
    "another key": (by_another_key, by_the_second_key, "signed by none of the 1 trusted keys"),
    "an expired certificate": (an_expired_certificate, a_certificate_that_is_valid, "its certificate was valid from"),
    "another authority": (a_certificate_of_somebody_else, a_certificate_that_is_valid, "not by a trusted authority"),
    "another identity": (a_certificate_for_another_name, a_certificate_for_anything, "no trusted identity"),
    "no certificate for it": (a_certificate_for_no_signatures, a_certificate_that_is_valid, "not for signatures"),
    "a certificate for servers": (
        a_certificate_for_servers,
        a_certificate_for_anything_at_all,
        "for other purposes than signatures",
    ),
    "an authority for servers": (an_authority_for_servers, an_authority_for_code, "for other purposes than signatures"),
    "a file named as evidence": (
        with_a_file_named_as_evidence,
        alone_in_a_folder,
        "'.sluice-signature' is there and was not signed",
    ),
    "such a file above": (with_such_a_file_above, alone_in_a_folder, "there is no signature"),
    "no certificate": (a_key_beside_its_certificate, a_certificate_that_is_valid, "no key is trusted"),
    "another model's signature": (of_another_model, touched, "is not the file that was signed"),
    "another signed model": (another_model_with_its_signature, the_model_that_is_named, "it is signed as 'letters'"),
    "an older signed version": (an_older_version, the_version_that_is_named, "(spec.model.verify)"),
    "a truncated bundle": (a_truncated_bundle, a_bundle_with_spaces, "its signature is no bundle"),
    "another payload": (with_another_digest_inside, touched, "signed by none of the 1 trusted keys"),
    "another statement": (another_statement, touched, "and not of a model"),
    "another sum": (with_another_sum, touched, "is not that of the files that it lists"),
    "no signature": (unsigned, touched, "there is no signature"),
    "a byte behind the last shard": (longer_than_its_shards, in_shards, "'config.json' is"),
    "a hole between shards": (without_a_shard, in_shards, "is not the file that was signed"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_nothing_of_a_changed_model_is_served(case: str, claim: Claim) -> None:
    tamper, _, said = TAMPERED[case]
    tamper(claim)
    outcome = claim.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert outcome.message.startswith(("VerificationFailed: ", "UnsupportedModel: "))
    assert said in outcome.message


@pytest.mark.parametrize("case", TAMPERED)
def test_its_legitimate_twin_is_served(case: str, claim: Claim) -> None:
    _, twin, _ = TAMPERED[case]
    twin(claim)
    outcome = claim.start()
    assert outcome.status == 0, outcome.message
    there = {str(path.relative_to(claim.model)) for path in claim.model.rglob("*") if path.is_file()}
    assert set(outcome.files) == {name for name in there if Path(name).name not in ("model.sig", ".gitattributes")}
    told = json.loads(outcome.message)["verification"]
    assert told["digest"].startswith("sha256:")
    assert told["signer"]
    assert told["time"].endswith("Z")


@pytest.mark.parametrize("case", TAMPERED)
def test_a_warning_does_not_keep_it_from_serving(case: str, claim: Claim) -> None:
    tamper, _, said = TAMPERED[case]
    tamper(claim)
    claim.requirements = tuple(each | {"mode": "Warn"} for each in claim.requirements)
    outcome = claim.start()
    if case == "a link":  # out of what the server would see
        assert outcome.status == 1
        return
    if case == "a link inside":  # the copy is a file
        said = ""
    assert outcome.status == 0, outcome.message
    told = json.loads(outcome.message)["verification"]
    assert said in told.get("problem", "")
    assert ("WARNING: not verified" in outcome.log) is bool(said)
    assert "model.sig" not in outcome.files


def test_both_the_platform_and_the_spec_must_be_content(claim: Claim) -> None:
    claim.requirements = (TRUSTED, wanted(keys=[STRANGER.public], by="spec.model.verify"))
    outcome = claim.start()
    assert "(spec.model.verify)" in outcome.message
    claim.requirements = (claim.requirements[1] | {"mode": "Warn"}, TRUSTED)
    outcome = claim.start()
    assert outcome.status == 0
    assert "(spec.model.verify)" in json.loads(outcome.message)["verification"]["problem"]


def test_a_claim_that_changes_after_the_check_changes_nothing(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was inspected is a copy: the race is for nothing."""
    inspect = verification.Inspector.inspect

    def raced(self: verification.Inspector, *arguments: Any) -> None:
        inspect(self, *arguments)
        flipped(claim)
        added(claim)

    monkeypatch.setattr(verification.Inspector, "inspect", raced)
    outcome = claim.start()
    assert outcome.files == FILES
    assert not any(path.is_symlink() for path in claim.downloader.volume.rglob("*"))


def test_a_claim_that_changes_before_the_check_is_refused(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    inspect = verification.Inspector.inspect

    def raced(self: verification.Inspector, source: Any, folder: Path) -> None:
        (folder / "config.json").write_bytes(OLDER["config.json"])
        inspect(self, source, folder)

    monkeypatch.setattr(verification.Inspector, "inspect", raced)
    assert (claim.start().status, claim.start().files) == (1, {})


def test_one_file_of_a_claim_has_its_signature_beside_it(claim: Claim) -> None:
    claim.uri = "pvc://models/digits/config.json"
    assert claim.start().files == {}
    (claim.model / "config.json.sig").write_bytes(TEAM.model("config.json", {".": FILES["config.json"]}))
    assert claim.start().files == {"config.json": FILES["config.json"]}
    (claim.model / "config.json").write_bytes(OLDER["config.json"])
    assert claim.start().files == {}


def test_folders_that_nobody_signed_are_not_served(claim: Claim) -> None:
    (claim.model / "2").mkdir()
    assert claim.start().status == 0
    assert not (claim.downloader.volume / "2").exists()


@pytest.mark.parametrize(
    "text",
    ["no json", "[1]", '[{"by": "x"}]', '[{"by": "x", "mode": "Enforce", "trust": {"publicKeys": ["no key"]}}]', "{}x"],
)
def test_a_requirement_that_has_no_meaning_is_not_met(text: str, claim: Claim) -> None:
    claim.requirements, claim.more = (), ["--verification", text]
    outcome = claim.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert outcome.message.startswith("VerificationFailed: ")

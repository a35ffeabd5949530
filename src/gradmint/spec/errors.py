"""Every error a user can meet, in one tree.

    GradmintError                 carries what was expected, what was found, and what to do
    |- SpecError                  the protocol's own rules
    |  |- MalformedReport         report bytes of the wrong length or with an unknown verdict
    |  |- MalformedStanding       standing bytes that no settlement can have written
    |  |- MalformedParams         run parameters that contradict each other
    |  |- MalformedCertificate    a certificate, or a part of one, that is no such document
    |  |- MalformedPoint          a BLS key or signature that is no point of its group
    |  |- MalformedGraph          feedback that no verified work or stake can have left
    |  |- EndorsementsBroken      rows of the contract Reputation that contradict each other
    |  |- WitnessRefused          a witness that does not show what it claims; carries the contract's error
    |  `- TranscriptBroken        an event row does not hash to what the chain recorded after it
    |- BlobError                  update bytes: never more than one type reaches the caller, see Verdict
    |  |- Oversize
    |  |- Malformed
    |  |- WrongBase
    |  |- NotFinite
    |  `- OverNorm
    |- MalformedOutput            an output to sign that is none: tokens, picture or set
    |- ManifestError              the task manifest is not what the run pinned, or this machine cannot honour it
    |  `- NumericsRefused         this machine computes in a way, or with a torch, that the run does not admit
    |- StoreError
    |  |- BlobMissing             nobody has the blob (yet)
    |  |- BlobCorrupt             bytes do not hash to the name they were asked for by
    |  `- StoreUnreachable
    |- ChainError
    |  |- ChainUnreachable
    |  |- WrongChain              chain id differs from the deployment's
    |  |- HalfDeployed            an address of the deployment has no code, or is wired to another deployment
    |  |- NoCertificates          the deployment has no contract for certificates
    |  |- NotAToken               the reward address is no ERC-20
    |  |- Unfunded                the account cannot pay for gas or stake
    |  `- Reverted                a contract refused; carries the custom error's name and operands
    |- CertificateRefused         a well-formed certificate that does not hold
    |- JournalError               the journal on disk contradicts what is asked
    |- SettingsError              flags, environment or gradmint.toml
    `- Divergence                 an auditor's finding: round, row, both values

Every message names both operands and the way out.
"""

from __future__ import annotations


class GradmintError(Exception):
    """Base of everything Gradmint raises on purpose."""


class SpecError(GradmintError):
    """The protocol's own rules were broken."""


class MalformedReport(SpecError):
    """Report bytes of the wrong length, or a value outside its range."""


class MalformedStanding(SpecError):
    """Standing bytes of the wrong length, or a value outside its range."""


class MalformedParams(SpecError):
    """Run parameters that contradict each other."""


class MalformedCertificate(SpecError):
    """Not a certificate, or part of one, in its one spelling."""


class MalformedPoint(SpecError):
    """A BLS key or signature that is not canonical, not on the curve, not in the subgroup, or infinity."""


class MalformedGraph(SpecError):
    """Feedback that no verified work or stake can have left."""


class EndorsementsBroken(SpecError):
    """Rows of the contract Reputation that contradict each other: one is missing, altered or out of order."""


class WitnessRefused(SpecError):
    """A witness that does not show what it claims.

    ``name`` and ``operands`` are those of the contract's custom error.
    """

    def __init__(self, name: str, *operands: int | bytes) -> None:
        shown = ", ".join(f"0x{one.hex()}" if isinstance(one, bytes) else str(one) for one in operands)
        super().__init__(f"{name}({shown})")
        self.name = name
        self.operands = operands


class TranscriptBroken(SpecError):
    """An event row does not hash to the transcript recorded after it."""


class BlobError(GradmintError):
    """Update bytes that fail a check; each subclass is one verdict."""


class Oversize(BlobError):
    """More bytes than the manifest allows."""


class Malformed(BlobError):
    """Header, table, counts, positions or trailing bytes are wrong."""


class WrongBase(BlobError):
    """The update starts from another model than this round's."""


class NotFinite(BlobError):
    """A scale is NaN or infinite."""


class OverNorm(BlobError):
    """The update's norm exceeds the manifest's bound."""


class MalformedOutput(GradmintError):
    """Tokens, a picture or a set that cannot be what a model put out."""


class ManifestError(GradmintError):
    """The task manifest is not what the run pinned, or this machine cannot honour it."""


class NumericsRefused(ManifestError):
    """This machine's numeric configuration, or its torch release, is not one that the run admits."""


class StoreError(GradmintError):
    """The blob store failed."""


class BlobMissing(StoreError):
    """Nobody has the blob (yet)."""


class BlobCorrupt(StoreError):
    """Bytes do not hash to the name they were asked for by."""


class StoreUnreachable(StoreError):
    """The store's endpoint does not answer."""


class ChainError(GradmintError):
    """The chain, or the node in front of it, failed."""


class ChainUnreachable(ChainError):
    """The node does not answer."""


class WrongChain(ChainError):
    """The node serves another chain than the deployment names."""


class HalfDeployed(ChainError):
    """A contract of the deployment is missing or wired to another deployment."""


class NoCertificates(ChainError):
    """The deployment has no contract for certificates."""


class NotAToken(ChainError):
    """The reward address does not behave like an ERC-20."""


class Unfunded(ChainError):
    """The account cannot pay for gas, stake or budget."""


class Reverted(ChainError):
    """A contract refused the transaction.

    ``name`` is the custom error's name (empty when the chain gave none), ``operands`` its decoded arguments.
    """

    def __init__(self, message: str, name: str = "", operands: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.operands = operands


class CertificateRefused(GradmintError):
    """A certificate that does not hold: a signature, a signer or the digest is not what it says."""


class JournalError(GradmintError):
    """The journal on disk contradicts what is asked."""


class SettingsError(GradmintError):
    """Flags, environment or gradmint.toml do not add up."""


class Divergence(GradmintError):
    """An auditor's finding: where public data and the chain part."""

    def __init__(self, round_: int | None, row: str, expected: object, found: object, why: str) -> None:
        where = "run" if round_ is None else f"round {round_}"
        super().__init__(f"{where}, {row}: expected {expected}, found {found}: {why}")
        self.round = round_
        self.row = row
        self.expected = expected
        self.found = found
        self.why = why

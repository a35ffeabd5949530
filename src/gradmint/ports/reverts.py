"""Why a contract refused, in plain words and with what to do: one table for all custom errors, memory twin included."""

from __future__ import annotations

from ..spec.errors import Reverted
from ..spec.types import Phase, Role

_POKE = "poke moves the run on"
_RE_READ = "read the chain again and retry"

#: Custom error -> sentence. {n} is the n-th operand; {n:phase} and {n:role} are its name. After the colon: the way out.
#: With its types where contracts use one name for two errors.
WORDS = {
    # Rounds
    "WrongPhase": "run {0} is in {2:phase}, the call belongs to {1:phase}: wait for that phase",
    "Overdue": f"the phase ended at {{0}}, it is {{1}} now: {_POKE}",
    "NotOverdue": "the phase lasts until {0}, it is {1} now: wait, or act in it",
    "NotSeated": "{1} has no live seat as {2:role} in run {0}: join first, with another account if this one has left",
    "RatingUnchanged": "{1}'s seat in run {0} goes by rating {2} of 2^32 already: nothing to do",
    "NotYet": "this account takes part from round {0} on, it is round {1}: wait for the next round",
    "NotOnCommittee": "verifier {1} is not on this round's committee of run {0}: wait for the next round",
    "AlreadyActed": "verifier {1} has acted in {2:phase} of run {0} already: nothing to do",
    "AlreadySeated": "{1} has a seat in run {0}, or had one: one seat per account and run, use another account",
    "Full": "all {2} seats as {1:role} of run {0} are taken and none is given away now: wait for a leaver, or choose "
    "another run",
    "TranscriptMismatch": f"the chain's transcript is {{0}}, the rows brought along hash to {{1}}: {_RE_READ}",
    "StillAwaited": "trainer {0} has not submitted yet: wait for it, or for the deadline",
    "NobodyAwaited": "run {0} awaits no trainer, so the phase lasts to its deadline: wait for it, then poke",
    "BitmapLength": "the bitmap has {1} bytes, this round needs {0}: one bit per trainer of the round",
    "NotCommitted": "verifier {1} committed to nothing in this round of run {0}: wait for the next round",
    "RevealMismatch": "committed to {0}, report and salt open {1}: reveal what the journal says was committed",
    "ReportLength": "the report has {1} bytes, this round needs {0}: one row per trainer of the round",
    "MalformedRow": "row {0} of the report has an unknown verdict or a gain out of range: assess again",
    # Runs
    "UnknownRun": "there is no run {0} on this deployment: check the run number and the deployment file",
    "NotAToken": "there is no contract at {0}: name an ERC-20 token of this chain",
    "OnlySponsor": "{0} is not the sponsor {1}: call from the sponsor's account",
    "RunEnded": "run {0} has ended: open a new one",
    "RunNotEnded": "run {0} goes on: its budget stays until the end",
    "NotSettled": "rounds of run {0} wait for their settlement: propose, finalise, then ask again",
    "AlreadyRefunded": "the rest of run {0} went back to its sponsor before: nothing to do",
    "TotalShrank": "payouts of {0} wei were promised, the settlement says {1}: payouts only grow, this is a defect",
    "Overdrawn": "{1} wei would have left run {0}, its settlements promise {2}: one was false and was not refuted",
    "Insolvent": "the settlement promises {0} wei, {1} were deposited: this is a defect",
    "SealMismatch": "the run is sealed with {0}, the proof gives {1}: prove against the last settlement's standings",
    "ProofLength": "the proof has {0} bytes, not a multiple of 40: prove again",
    "PathTooLong": "the proof has fewer siblings than its path has steps, {0} is left of its right bits: prove again",
    "PaidTooLarge": "nobody was promised {0} wei: prove against the last settlement's standings",
    "Expired": "the signature was good until {0}, it is {1} now: have the account sign again",
    "BadSignature": "{0} did not sign digest {1}: check recipient, amount, deadline, chain and deployment",
    "NothingToClaim": "{1} has been paid all of its {2} wei in run {0}: wait for the next settlement",
    # Stakes
    "UnknownRole": "role {0} does not exist: 1 is trainer, 2 is verifier",
    "StakeTooSmall": "{0} wei arrived, the run asks for {1}: stake more",
    "PriceAboveLimit": "the seat costs {0} wei now, at most {1} were offered: offer more, or wait until it falls",
    "NoStake": "{1} holds no stake in run {0}: nothing to withdraw",
    "AlreadyExiting": "{1} left run {0} already, its stake is free at {2}: withdraw then",
    "NotExiting": "{1} is still seated in run {0}: exit first",
    "StillLocked": "the stake is free at {0}, it is {1} now: withdraw then",
    "NotFinalYet": "the stake answers for rounds up to {1} of run {0}, settled are {2}: run gradmint settle --follow",
    "StillOnDuty": f"{{1}} is on the committee of run {{0}} until the round is over: {_POKE} when it is overdue",
    "NothingToBurn": "nothing was slashed or paid for seats in run {0} since the last burn: nothing to do",
    "NothingToPool": "nothing was lost to the budget of run {0} since the last pooling: nothing to do",
    "RoundRows": "at byte {0} the rows are none of a round, from the phase that opened it on: bring all, in order",
    "BlobMismatch": "the trainer first submitted {0}, the blob hashes to {1}: bring the update that counted",
    "NotPlanted": "the update's words are not those of {0} and secret {1}: only who planted it exposes it",
    "NotAssigned": "the beacon of round {0} did not ask for the header of trainer {1}: nobody had to look at it",
    "AlreadyExposed": "trainer {2}'s update in round {1} of run {0} was exposed before: nothing to do",
    "NobodyGuilty": "none of the accused called trainer {2}'s update in round {1} OK in a seat still theirs: no case",
    "BondTooSmall": "{2} wei of {1}'s bond in run {0} are free, {3} are needed: deposit more with 'gradmint bond'",
    # Settlement
    "ParamsMismatch": "the run pins parameters {0}, these hash to {1}: take them from the run's Opened event",
    "StandingsMismatch": f"the settlement before left roster and standings {{0}}, these hash to {{1}}: {_RE_READ}",
    "RosterMismatch": f"the record's roster is {{0}}, the rows lead to {{1}}: {_RE_READ}",
    "RosterRows": "the {0} bytes of roster rows end within a row: bring whole rows",
    "RecordMismatch": f"round {{1}} of run {{0}} was recorded as {{2}}, this record hashes to {{3}}: {_RE_READ}",
    "ReportCount": "{0} verifiers revealed, {1} reports were brought: bring all, in index order",
    "ReportMismatch": "report {0} of who revealed is {1}, the one brought hashes to {2}: bring all, in index order",
    "SliceCount": "the round has {0} slices, {1} were brought: bring all, in order",
    "SliceMismatch": "slice {0} was heard as {1}, this one hashes to {2}: have it heard first",
    "NoSuchSlice": "round {1} of run {0} has no slice {2}, or no quorum to hear: nothing to do",
    "NotProposing": "run {0} settles every round by re-execution: call settle",
    "NotNext": "round {1} of run {0} follows recorded round {2}, round {3} is the last one done: take them in order",
    "NotRecorded": "round {1} of run {0} has no record that can be settled: read the chain again",
    "TooManyPending": "run {0} has as many proposals pending as it can take: finalise some first",
    "StillPending": "{1} proposals are pending in run {0}: finalise or refute them",
    "PendingMismatch": f"pending proposals hash to {{0}}, those brought to {{1}}: {_RE_READ}",
    "NotPending": "no proposal for round {1} of run {0} is pending: nothing to do",
    "AlreadyChallenged": "round {1} of run {0} is under challenge: wait until that is over, or refute without one",
    "NotFinal": "round {0} can become final at {1}, it is {2} now: wait, or refute it",
    "EffectsMismatch": f"the outcome's effects hash to {{0}}, those brought to {{1}}: {_RE_READ}",
    "NotRefuted": "round {1} of run {0} re-executes to what was proposed: it is right",
    # Certificates
    "AlreadyRegistered": "{0} has registered a BLS key, which is for good: sign with that one",
    "KeyTaken": "{0} has registered this BLS key: make another",
    "NoPossession": "the proof does not show that {0} has this key on this chain and contract: make the proof again",
    "WrongKey": "{0} registered key {1}, the one brought along hashes to {2}: read the registered keys again",
    "KeysLength": "the keys have {1} bytes, {0} are needed: 256 per account",
    "NoStakeBehind": "{1} stakes nothing in run {0}, or is leaving it: leave its signature out",
    "Repeated": "{0}'s seat is in the group already: name everyone once",
    "EmptyGroup": "nobody was named: name at least one signer",
    "UnknownGroup": "the contract has not assembled group {0}: assemble it, or bring its contents unchanged",
    "OtherRun": "the group is of run {1}, not of run {0}: assemble one of this run",
    "StaleGroup": "the group expired at {0}, it is {1} now, its stake may have left: assemble it again",
    "NotSignedByAll": "not every member of the group signed this model, run and round: make the certificate again",
    "SignaturesLength": "the signatures have {0} bytes: 65 per signer, at least one signer",
    "TooManySignatures": "{1} ECDSA signatures, at most {0} are taken: from there on use one BLS signature",
    "Unsorted": "{1} comes after {0}: bring signatures ascending by address, each once",
    "NoBlsPrecompile": "the chain has no precompile at {0} (EIP-2537, Prague): BLS cannot be checked there, ECDSA can",
    "AtInfinity": "the point at infinity is no key and no signature: leave out whoever brought it",
    "PointLength": "a point has {1} bytes, expected {0}: encode it as EIP-2537 does",
    "PairingFailed": "a key or signature is not canonical, not on the curve or not in the subgroup: leave it out",
    # Reputation
    "MalformedTerms": "a term is out of range, or a seed is named twice: check them, then deploy again",
    "NoToken": "this deployment's reputation has no token: there are neither vouches nor ratings on this chain",
    "PurseTooSmall": "{0} has {1} wei free in its purse, {2} are needed: 'gradmint reputation deposit' adds some",
    "AlreadyHarvested": "run {0} was harvested in epoch {1}: wait for the next epoch",
    "NothingToHarvest": "no round of run {0} was settled since its last harvest, or nobody's work counts: wait for one",
    "TooMuchSaid": "what {0} gives would reach 2^32 in all: end a vouch first, or lock less",
    "NotForOneself": "{0} cannot stand up for itself: name another account",
    "VouchTooSmall": "a stake of {0} wei is below {1}, which weighs as one verified round: lock more",
    "AlreadyVouched": "{0} has a stake behind {1} already: end that vouch and reclaim it first",
    "NoVouch": "{0} has no stake behind {1}: nothing to do",
    "AlreadyUnvouched": "{0} ended its vouch for {1} in epoch {2}: reclaim it when its time has come",
    "StillLocked(uint32,uint32)": "the stake is free from epoch {0} on, this is epoch {1}: end the vouch, then wait",
    "NotBanned": "{1} is not banned in run {0} now, as far as its final standings say: nothing to slash",
    "AlreadyProposed": "{0}'s rating of epoch {1} is not final yet: wait, or prove it",
    "NotProposed": "{0} has proposed no rating: nothing to do",
    "TooManyPaths": "{0} paths, at most {1} count: propose those",
    "AlreadyChallenged(address,address)": "{1} has challenged the rating of {0}: a witness proves it",
    "NotChallenged": "nobody has challenged the rating of {0}: finalise it when its time has come",
    "TooEarly": "that is for block {0} and later, the next one is {1}: wait",
    "TooLate": "that was for blocks before {0}, the next one is {1}: nothing to do",
    "TooOld": "nothing is kept of epoch {0}, this is epoch {1}: propose anew",
    "HeardMismatch": f"node {{0}} has heard what hashes to {{1}}, the witness brings {{2}}: {_RE_READ}",
    "PanelMismatch": f"the panel of endorsement {{0}} hashes to {{1}}, the witness brings {{2}}: {_RE_READ}",
    "MalformedPanel": "panel {0} is out of order, or a place names another account: make the witness again",
    "MalformedNodes": "a witness has 1 to 255 nodes, the subject first, each list whole: make it again",
    "TooManyVisits": "node {0} claims {2} visits, {1} are handed on to it: it cannot be shown",
    "MalformedPath": "path {0} does not lead along endorsements from a seed, or meets another: make the witness again",
    "TooFewPaths": "{0} paths are shown, {1} were proposed: show more",
    # Tokens (OpenZeppelin, Solady)
    "ERC20InsufficientBalance": "{0} holds {1} wei of the token, {2} are needed: send it more",
    "ERC20InsufficientAllowance": "{0} may spend {1} wei of the token, {2} are needed: approve more",
    "TransferFailed": "the token refused the transfer: the recipient may be blocked by the token",
    "TransferFromFailed": "the token refused to hand over the amount: check balance and allowance",
    # Wiring and the language
    "OnlySibling": "{0} called what only {1} may call: use the deployment's own contracts",
    "Error": "{0}",
    "Panic": "arithmetic or array panic {0}: this is a defect in the contract or absurd input",
    # Of this side
    "NonceTaken": "another transaction took nonce {1} of {0}: sign the call again if it is still wanted",
    "NonceGap": "nonce {0} was signed, but {1} was never broadcast: sign the call again",
    "FeeTooLow": "the fee signed with nonce {0} is below the chain's by now: sign the call again",
    "Failed": "transaction {0} was mined and failed without a reason, maybe out of gas: sign the call again",
}


class _Operand:
    """Formats one operand: bytes as hex, enums by name."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        kinds: dict[str, type[Phase] | type[Role]] = {"phase": Phase, "role": Role}
        if spec and isinstance(self.value, int):
            kind = kinds[spec]
            return kind(self.value).name if self.value in set(kind) else str(self.value)
        return f"0x{self.value.hex()}" if isinstance(self.value, bytes) else str(self.value)


def reverted(name: str, *operands: object, signature: str = "") -> Reverted:
    """The typed error for custom error ``name``; unknown ones show name and operands as they are."""
    shown = [_Operand(operand) for operand in operands]
    arguments = ", ".join(format(operand, "") for operand in shown)
    try:
        words = WORDS.get(signature, WORDS.get(name, "the contract refused this call")).format(*shown)
    except IndexError:  # another contract's error of the same name
        words = "the contract refused this call"
    return Reverted(f"{name or 'refused without a reason'}({arguments}): {words}", name, operands)

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

// Units are in names: Wei smallest unit of the run's token, Micronats 1e-6 nat, Bps 1/10,000, Bits Hamming distance,
// S seconds, Q32 fixed point with 32 fractional bits.

/// What the chain waits for. A round passes TRAIN..SETTLE; ENROL comes before round 1, ENDED after the last.
enum Phase {
    ENROL,
    TRAIN, // trainers submit
    HOLD, // trainers publish, verifiers say what they hold
    COMMIT, // verifiers assess, then commit
    REVEAL,
    SETTLE,
    ENDED
}

enum Role {
    NONE,
    TRAINER,
    VERIFIER
}

/// Immutable parameters of a run; src/gradmint/spec/params.py gives every field its unit and reason. Field for field the
/// same words: keccak256(abi.encode(params)) == keccak256(Params.encode()).
struct Params {
    bytes32 manifest;
    bytes32 model;
    uint32 targetLossMicronats;
    uint16 maxRounds;
    uint16 minTrainers;
    uint16 maxTrainers;
    uint8 minVerifiers;
    uint8 maxVerifiers;
    uint8 committee;
    uint32 trainS;
    uint32 holdS;
    uint32 commitS;
    uint32 revealS;
    uint32 settleS;
    uint32 exitS;
    uint128 trainerStakeWei;
    uint128 verifierStakeWei;
    uint128 joinPriceWei;
    uint16 joinBumpBps;
    uint32 joinHalfLifeS;
    uint16 immunityRounds;
    uint16 verifierShareBps;
    uint8 words;
    uint16 assignedTrainers;
    uint16 acceptBits;
    uint16 slashBits;
    uint16 slashBps;
    uint16 livenessBps;
    uint16 valueWeightBps;
    uint16 proofWeightBps;
    uint16 recoveryBps;
    uint16 trustFloorBps;
    uint16 banTrustBps;
    uint16 banRounds;
    uint16 bondsWeightBps;
    uint16 payLeastBps;
    uint16 payMostBps;
    uint16 sortitionBps;
    uint16 discountBps;
    uint8 valueExponentHalves;
    uint16 top;
    uint16 reserve;
    uint32 challengeS;
    uint32 extensionS;
    uint128 proposalBondWei;
    uint16 challengerBps;
    uint16 burnBps;
    uint16[9] penaltyBps;
}

/// The money of a run.
struct Run {
    address sponsor;
    bool refunded;
    address token;
    uint32 exitS;
    bytes32 paramsHash;
    bytes32 seal; // keccak256(root of the standing tree || token), its last bit replaced: 1 in a proposing run
    uint128 depositedWei; // by sponsor and funders, as it arrived
    uint128 totalWei; // promised to participants: the root's sum, never above depositedWei
    uint128 trainerStakeWei;
    uint128 verifierStakeWei;
}

/// What Rounds keeps of a run's parameters.
struct Schedule {
    uint32 trainS;
    uint32 holdS;
    uint32 commitS;
    uint32 revealS;
    uint32 settleS;
    uint16 maxRounds;
    uint16 minTrainers;
    uint16 maxTrainers;
    uint8 minVerifiers;
    uint8 maxVerifiers;
    uint8 committee;
    uint8 words;
    bool proposing; // rounds are settled by proposals, behind the rounds; else each in its SETTLE phase
}

/// What Stakes keeps of a run's parameters: the price of a seat, and what a rating does to stakes; one word.
struct Pricing {
    uint128 joinPriceWei; // never less; what founders pay
    uint32 joinHalfLifeS;
    uint16 joinBumpBps;
    uint16 sortitionBps;
    uint16 discountBps;
}

/// What Settlement keeps of the parameters of a run whose rounds are proposed; one word.
struct Terms {
    uint32 challengeS;
    uint32 extensionS;
    uint128 proposalBondWei;
    uint32 targetLossMicronats;
    uint16 challengerBps;
    uint16 burnBps;
}

/// Everything a call needs to know about now, in one word.
struct Clock {
    bytes24 transcript;
    uint40 deadline; // unix seconds; the phase takes acts strictly before it; 0 in ENROL and ENDED
    uint16 round; // 0 in ENROL
    Phase phase;
}

/// One bit per verifier index.
struct Masks {
    uint32 held; // acted in this round's HOLD
    uint32 committed;
    uint32 revealed;
    uint32 eligible; // can be called on in this round: seated when it opened
    uint32 active; // this round's committee; everyone eligible until HOLD opens, and again once everyone is called in
    uint32 awaited; // phases do not end early without these
    uint32 missed; // awaited in the last phase that called on it, and absent
    uint32 gone; // seats whose holder left; not eligible when the next round opens
}

/// Who is here. An index goes to a newcomer only when its last holder is gone.
struct Counts {
    bytes24 roster; // rolling hash of joins and exits
    uint16 trainers;
    uint16 trainersInRound; // indices below it take part in this round
    uint16 trainersGone; // seats whose holder left
    uint8 verifiers;
    uint8 verifiersInRound;
}

struct Seat {
    Role role; // NONE: this account never joined
    bool retired;
    uint16 index; // among its role
    uint16 sinceRound; // first round it takes part in
    uint32 ratingQ32; // as rate() last read it; 0 of a newcomer
}

/// One Submitted event's row, as close() wants it back.
struct Submission {
    uint16 trainer;
    int32 claimedGainMicronats;
    bytes32 digest;
}

/// What a finished round leaves to whoever settles it: spec/docket.py. The chain keeps its hash.
struct Record {
    uint16 round;
    uint16 previous; // the recorded round before it; 0 for the first
    uint16 trainers; // indices below it took part
    uint8 verifiers;
    uint128 depositedWei; // in escrow at the record
    uint32 active; // mask of the committee
    uint32 revealed; // mask of who revealed, which may name verifiers outside the committee no more
    bytes24 roster; // roster transcript when the round opened: who was seated
    bytes24 transcript; // the run's after the last reveal: everything said in the round leads there
    bytes32[] reports; // hashes, of who revealed, in index order
    uint256[] stakesWei; // per verifier index; 0 outside the committee
}

/// A settlement's result, one transcript row.
struct Outcome {
    bytes24 root;
    uint128 totalWei; // ever promised to participants
    bytes32 standingsHash; // keccak256(roster of the record || packed standings)
    uint32 lossMicronats;
    uint32 clusterMask; // 0 without quorum
    uint16 weakest; // whose seat is given away next; 65,535 nobody's
    bytes32 effectsHash;
}

/// What a settlement does beside promising pay; hashed into the outcome.
struct Effects {
    uint256[] slashed; // pairs (account, Wei) of verifiers who lose some of their stake, in index order
    uint256[] awaited; // bitmap of the trainers to wait for from now on; empty leaves them as they are
    uint256[] left; // pairs (account, cumulative Wei) of those whose seat a newcomer took, in roster order
}

/// A settlement that somebody vouches for with a bond.
struct Proposal {
    uint16 round;
    address proposer;
    uint40 finalS; // unix seconds; cannot become final before
    Outcome outcome;
}

/// What a re-execution starts from, besides what the verifiers said.
struct Inputs {
    Record record;
    bytes24 roster; // roster transcript of the round settled before; 0 before the first
    bytes rosterRows; // from there to the record's roster: kind uint8 | row, 40 bytes a join, 4 an exit, 8 a rating
    bytes standings; // packed, 96 bytes each, trainers before verifiers, of the round settled before
}

/// What the verifiers said: either every report whole, or their heads and the slices that hear() has heard.
struct Evidence {
    bytes[] reports; // of who revealed, in index order; empty with heads
    bytes[] heads; // loss uint32 | words x 32 bytes | keccak256 of each chunk of 256 rows
    bytes[] rows; // per slice, the agreed rows: 9 bytes each, as in a report
    uint256[][] sums; // per slice, per verifier index: minima << 128 | maxima of gains, see Consensus; 0 outside the cluster
}

/// That a trainer's update was planted, and who waved it through; see Plant and IStakes.expose.
struct Exposure {
    uint16 trainer;
    bytes32 secret;
    bytes blob; // the update: the trainer's first submission of the round
    bytes24 before; // the run's transcript before the round opened
    bytes rows; // from there to the record's transcript, everything said: kind uint8 | row
    bytes[] heads; // per report of the record, as in Evidence; empty: not accused
    bytes[] rowsOf; // per report of the record, its chunk of 256 rows in which the trainer's lies; empty likewise
}

/// One claim of several, see IRuns.claim.
struct Claim {
    uint256 run;
    address token;
    address account;
    uint256 paidWei;
    uint256 rightBits;
    bytes proof;
}

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
    uint32 trainS;
    uint32 holdS;
    uint32 commitS;
    uint32 revealS;
    uint32 settleS;
    uint32 exitS;
    uint128 trainerStakeWei;
    uint128 verifierStakeWei;
    uint16 verifierShareBps;
    uint8 words;
    uint16 acceptBits;
    uint16 slashBits;
    uint16 slashBps;
    uint16 livenessBps;
    uint16 valueWeightBps;
    uint16 proofWeightBps;
    uint16 recoveryBps;
    uint16 trustFloorBps;
    uint16[8] penaltyBps;
}

/// The money of a run.
struct Run {
    address sponsor;
    bool refunded;
    address token;
    uint32 exitS;
    bytes32 paramsHash;
    bytes32 seal; // keccak256(root of the standing tree || token); 0 before the first settlement
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
    uint8 words;
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
    uint32 active; // this round's committee
    uint32 awaited; // phases do not end early without these
    uint32 missed; // awaited in the last phase that called on it, and absent
    uint32 gone; // retired; leaves active when the next round opens
}

/// Who is here. Indices are given once and never reused.
struct Counts {
    bytes24 roster; // rolling hash of joins and exits
    uint16 trainers;
    uint16 trainersInRound; // indices below it take part in this round
    uint16 trainersGone;
    uint8 verifiers;
    uint8 verifiersInRound;
}

struct Seat {
    Role role; // NONE: this account never joined
    bool retired;
    uint16 index; // among its role
    uint16 sinceRound; // first round it takes part in
}

/// One Submitted event's row, as close() wants it back.
struct Submission {
    uint16 trainer;
    int32 claimedGainMicronats;
    bytes32 digest;
}

/// A settlement's result, one transcript row.
struct Outcome {
    bytes32 root;
    uint128 totalWei;
    bytes32 standingsHash;
    uint32 lossMicronats;
    uint32 clusterMask; // 0 without quorum
}

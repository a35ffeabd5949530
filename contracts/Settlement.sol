// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Transition} from "./Transition.sol";
import {Wired} from "./Wired.sol";
import {IReputation} from "./interfaces/IReputation.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {ITransition} from "./interfaces/ITransition.sol";
import {
    Clock,
    Effects,
    Evidence,
    Inputs,
    Outcome,
    Params,
    Phase,
    Proposal,
    Record,
    Terms
} from "./interfaces/Types.sol";
import {Docket} from "./libraries/Docket.sol";
import {Mechanism} from "./libraries/Mechanism.sol";
import {Mem} from "./libraries/Mem.sol";
import {ParamsRules} from "./libraries/ParamsRules.sol";
import {Transcript} from "./libraries/Transcript.sol";

/// @dev See ISettlement.
contract Settlement is ISettlement, Wired {
    /// How far a proposing run's settlements are.
    struct Progress {
        uint16 settled;
        uint16 proposed;
        uint8 pending;
        bool open; // so that the word is never 0 and proposing never pays for a fresh one
        bytes24 transcript;
    }

    struct Challenge {
        address challenger;
        uint16 round;
        uint40 untilS;
    }

    bytes32 private constant GENESIS = keccak256(abi.encodePacked(bytes24(0)));

    /// @inheritdoc ISettlement
    ITransition public immutable transition = new Transition();

    /* STORAGE */

    mapping(uint256 run => bytes32) private _standingsHash;
    mapping(uint256 run => Progress) private _progress;

    /// @inheritdoc ISettlement
    mapping(uint256 run => bytes32) public tip;

    mapping(uint256 run => Terms) private _terms;

    /// @inheritdoc ISettlement
    mapping(uint256 run => Challenge) public challenged;

    /// @inheritdoc ISettlement
    mapping(uint256 run => mapping(uint16 round => mapping(uint256 chunk => bytes32))) public heard;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_, ISettlement settlement_, IReputation reputation_)
        Wired(runs_, stakes_, rounds_, settlement_, reputation_)
    {
        _requireSelf(address(settlement_));
    }

    /* BY RE-EXECUTION */

    /// @inheritdoc ISettlement
    function settle(
        uint256 run,
        Params calldata params,
        Inputs calldata inputs,
        Evidence calldata // read by Transition, see _execute
    )
        external
    {
        uint256 totalWei = _checkParams(run, params);
        uint16 round = inputs.record.round;
        (bytes24 transcript, bytes30 recordHash) =
            params.challengeS == 0 ? _requireTurn(run, round) : _requireNothingPending(run, round);
        _checkRecord(run, inputs.record, recordHash);
        _checkStandings(inputs, standingsHash(run));
        (Outcome memory outcome, Effects memory effects) = _execute(run, round, totalWei);
        if (params.challengeS == 0 && outcome.clusterMask == 0 && rounds.expand(run)) return;

        transcript = Transcript.settled(transcript, round, outcome);
        if (params.challengeS != 0) {
            Progress storage progress = _progress[run];
            (progress.settled, progress.proposed, progress.transcript) = (round, round, transcript);
        }
        _apply(run, round, outcome, effects, transcript, params.targetLossMicronats);
    }

    /// @inheritdoc ISettlement
    function hear(
        uint256 run,
        Params calldata params,
        Record calldata record,
        bytes[] calldata heads,
        uint256 chunk,
        bytes[] calldata rowsOf
    ) external {
        _checkParams(run, params);
        (bytes30 recordHash,) = rounds.record(run, record.round);
        _checkRecord(run, record, recordHash);
        bytes32 slice = transition.hear(params, record, heads, chunk, rowsOf);
        if (slice == 0) revert NoSuchSlice(run, record.round, chunk);
        heard[run][record.round][chunk] = slice;

        emit Heard(run, record.round, chunk);
    }

    /* PROPOSALS */

    /// @inheritdoc ISettlement
    function propose(uint256 run, uint16 round, Outcome calldata outcome) external {
        Terms memory terms = _proposing(run);
        Progress memory progress = _progress[run];
        (bytes30 hash, uint16 previous) = rounds.record(run, round);
        if (hash == 0) revert NotRecorded(run, round);
        if (previous != progress.proposed) revert NotNext(run, round, previous, progress.proposed);
        if (progress.pending == Docket.MAX_PENDING) revert TooManyPending(run);

        uint40 finalS = uint40(block.timestamp + terms.challengeS); // 40 bits of seconds last 34,000 years
        (progress.proposed, progress.pending) = (round, progress.pending + 1);
        _progress[run] = progress;
        tip[run] = Docket.fold(tip[run], round, msg.sender, finalS, Docket.hash(outcome));

        emit Proposed(run, round, msg.sender, finalS, outcome);

        stakes.lock(run, msg.sender, terms.proposalBondWei);
    }

    /// @inheritdoc ISettlement
    function challenge(uint256 run, uint16 round) external {
        Terms memory terms = _proposing(run);
        Progress memory progress = _progress[run];
        (bytes30 hash,) = rounds.record(run, round);
        if (hash == 0 || round <= progress.settled || round > progress.proposed) revert NotPending(run, round);
        if (challenged[run].round != 0) revert AlreadyChallenged(run, challenged[run].round);

        uint40 untilS = uint40(block.timestamp + terms.extensionS);
        challenged[run] = Challenge(msg.sender, round, untilS);

        emit Challenged(run, round, msg.sender, untilS);

        stakes.lock(run, msg.sender, terms.proposalBondWei);
    }

    /// @inheritdoc ISettlement
    function refute(
        uint256 run,
        Params calldata params,
        Inputs calldata inputs,
        Evidence calldata, // read by Transition, see _execute
        Proposal[] calldata pending,
        uint256 place
    ) external {
        uint256 totalWei = _checkParams(run, params);
        _checkPending(run, pending);
        uint16 round = inputs.record.round;
        if (place >= pending.length || pending[place].round != round) revert NotPending(run, round);
        {
            bytes32 before = standingsHash(run);
            if (place != 0) {
                Outcome calldata previous = pending[place - 1].outcome;
                (before, totalWei) = (previous.standingsHash, previous.totalWei);
            }
            (bytes30 recordHash,) = rounds.record(run, round);
            _checkRecord(run, inputs.record, recordHash);
            _checkStandings(inputs, before);
            (Outcome memory outcome,) = _execute(run, round, totalWei);
            if (Docket.hash(outcome) == Docket.hash(pending[place].outcome)) revert NotRefuted(run, round);
        }

        _progress[run].pending = uint8(place); // below MAX_PENDING
        _progress[run].proposed = place == 0 ? _progress[run].settled : pending[place - 1].round;
        tip[run] = Docket.tip(pending, 0, place);
        Challenge memory open = challenged[run];
        bool released = open.round >= round;
        if (released) delete challenged[run];
        bool challengers = open.round == round && block.timestamp < open.untilS;
        address beneficiary = challengers ? open.challenger : msg.sender;

        emit Refuted(run, round, pending[place].proposer, beneficiary);

        Terms memory terms = _terms[run];
        if (released) stakes.unlock(run, open.challenger, terms.proposalBondWei);
        for (uint256 i = place + 1; i < pending.length; ++i) {
            stakes.unlock(run, pending[i].proposer, terms.proposalBondWei);
        }
        _forfeit(run, pending[place].proposer, beneficiary, terms);
    }

    /// @inheritdoc ISettlement
    function finalise(uint256 run, Proposal[] calldata pending, Effects calldata effects) external {
        Terms memory terms = _proposing(run);
        _checkPending(run, pending);
        if (pending.length == 0) revert NotPending(run, 0);
        Proposal memory first = pending[0];
        Challenge memory open = challenged[run];
        bool lapsed = open.round == first.round;
        uint40 finalS = lapsed && open.untilS > first.finalS ? open.untilS : first.finalS;
        if (block.timestamp < finalS) revert NotFinal(first.round, finalS, block.timestamp);
        bytes32 hash = Docket.hash(effects);
        if (hash != first.outcome.effectsHash) revert EffectsMismatch(first.outcome.effectsHash, hash);

        Progress memory progress = _progress[run];
        progress.settled = first.round;
        --progress.pending;
        progress.transcript = Transcript.settled(progress.transcript, first.round, first.outcome);
        _progress[run] = progress;
        tip[run] = Docket.tip(pending, 1, pending.length);
        if (lapsed) delete challenged[run];
        _apply(run, first.round, first.outcome, effects, progress.transcript, terms.targetLossMicronats);

        stakes.unlock(run, first.proposer, terms.proposalBondWei);
        if (lapsed) _forfeit(run, open.challenger, first.proposer, terms);
    }

    /* SIBLINGS */

    /// @inheritdoc ISettlement
    function create(uint256 run, Terms calldata terms) external only(address(runs)) {
        _terms[run] = terms;
        _progress[run].open = true;
        tip[run] = Docket.BASE_TIP;
    }

    /* VIEWS */

    /// @inheritdoc ISettlement
    function standingsHash(uint256 run) public view returns (bytes32 hash) {
        hash = _standingsHash[run];
        if (hash == 0) hash = GENESIS;
    }

    /// @inheritdoc ISettlement
    function docket(uint256 run) external view returns (uint16, uint16, uint8, bytes24) {
        Progress memory progress = _progress[run];
        return (progress.settled, progress.proposed, progress.pending, progress.transcript);
    }

    /// @inheritdoc ISettlement
    function isCaughtUp(uint256 run) external view returns (bool) {
        return _terms[run].challengeS == 0 || _progress[run].settled == rounds.lastRecorded(run);
    }

    /* GUARDS */

    /// Returns what was promised before.
    function _checkParams(uint256 run, Params calldata params) private view returns (uint256 totalWei) {
        bytes32 expected;
        (expected, totalWei) = runs.basis(run);
        bytes32 actual = keccak256(ParamsRules.encode(params));
        if (actual != expected) revert ParamsMismatch(expected, actual);
    }

    /// A direct run: its current round, in time. Returns the run's transcript, and its record's hash.
    function _requireTurn(uint256 run, uint16 round) private view returns (bytes24, bytes30) {
        (Clock memory clock, bytes30 recordHash) = rounds.due(run);
        if (clock.phase != Phase.SETTLE) revert IRounds.WrongPhase(run, Phase.SETTLE, clock.phase);
        if (block.timestamp >= clock.deadline) revert IRounds.Overdue(clock.deadline, block.timestamp);
        if (round != clock.round) revert NotRecorded(run, round);
        return (clock.transcript, recordHash);
    }

    /// A proposing run: its next recorded round. Returns the settlements' transcript, and the record's hash.
    function _requireNothingPending(uint256 run, uint16 round) private view returns (bytes24, bytes30) {
        Progress memory progress = _progress[run];
        if (progress.pending != 0) revert StillPending(run, progress.pending);
        (bytes30 recordHash, uint16 previous) = rounds.record(run, round);
        if (previous != progress.settled) revert NotNext(run, round, previous, progress.settled);
        return (progress.transcript, recordHash);
    }

    function _proposing(uint256 run) private view returns (Terms memory terms) {
        terms = _terms[run];
        if (terms.challengeS == 0) revert NotProposing(run);
    }

    function _checkPending(uint256 run, Proposal[] calldata pending) private view {
        bytes32 actual = Docket.tip(pending, 0, pending.length);
        if (actual != tip[run]) revert PendingMismatch(tip[run], actual);
    }

    function _checkRecord(uint256 run, Record calldata record, bytes30 expected) private pure {
        bytes30 actual = Docket.hashRecord(record);
        if (actual != expected) revert RecordMismatch(run, record.round, expected, actual);
    }

    function _checkStandings(Inputs calldata inputs, bytes32 expected) private pure {
        uint256 mark = Mem.mark();
        bytes32 actual = keccak256(abi.encodePacked(inputs.roster, inputs.standings));
        Mem.release(mark);
        if (actual != expected) revert StandingsMismatch(expected, actual);
    }

    /* STEPS */

    /// Re-executes a round whose parameters, record and standings were checked.
    /// @dev The arguments of settle() and refute() are those of Transition's execute() but for the first word: they are
    /// passed on as they came. Decoding and encoding them again would cost more than all checks here.
    function _execute(uint256 run, uint16 round, uint256 totalWei)
        private
        view
        returns (Outcome memory outcome, Effects memory effects)
    {
        bytes memory call = abi.encodePacked(ITransition.execute.selector, totalWei, msg.data[36:]);
        (bool done, bytes memory answer) = address(transition).staticcall(call);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        bytes32[] memory slices;
        (outcome, effects, slices) = abi.decode(answer, (Outcome, Effects, bytes32[]));
        for (uint256 k; k < slices.length; ++k) {
            bytes32 expected = heard[run][round][k];
            if (slices[k] != expected) revert SliceMismatch(k, expected, slices[k]);
        }
    }

    /// Makes an outcome final.
    function _apply(
        uint256 run,
        uint16 round,
        Outcome memory outcome,
        Effects memory effects,
        bytes24 transcript,
        uint256 targetLossMicronats
    ) private {
        _standingsHash[run] = outcome.standingsHash;

        emit Settled(run, round, outcome, transcript);

        runs.post(run, outcome.root, outcome.totalWei);
        for (uint256 i; i < effects.left.length; i += 2) {
            runs.keep(run, address(uint160(effects.left[i])), effects.left[i + 1]);
        }
        bool reached =
            outcome.clusterMask != 0 && targetLossMicronats != 0 && outcome.lossMicronats <= targetLossMicronats;
        address[] memory ejected = _slash(run, effects.slashed);
        rounds.conclude(run, round, transcript, outcome.weakest, effects.awaited, ejected, reached);
    }

    /// Takes what was slashed; returns who lost too much to stay, and 0 for everyone else.
    function _slash(uint256 run, uint256[] memory slashed) private returns (address[] memory ejected) {
        if (slashed.length == 0) return ejected;
        (,,, uint128 requiredWei) = runs.terms(run);
        ejected = new address[](slashed.length / 2);
        for (uint256 i; i < ejected.length; ++i) {
            address account = address(uint160(slashed[2 * i]));
            uint128 leftWei = stakes.slash(run, account, slashed[2 * i + 1]);
            if (Mechanism.isEjected(leftWei, requiredWei)) ejected[i] = account;
        }
    }

    function _forfeit(uint256 run, address account, address beneficiary, Terms memory terms) private {
        stakes.forfeit(run, account, beneficiary, terms.proposalBondWei, terms.challengerBps, terms.burnBps);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {IReputation, Node, Panel, ReputationTerms, Witness} from "./interfaces/IReputation.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Role, Seat} from "./interfaces/Types.sol";
import {Deposit} from "./libraries/Deposit.sol";
import {Endorsements} from "./libraries/Endorsements.sol";
import {Fixed} from "./libraries/Fixed.sol";
import {Mem} from "./libraries/Mem.sol";
import {Ratings} from "./libraries/Ratings.sol";
import {Leaf, Standings} from "./libraries/Standings.sol";
import {Tallies, Tally} from "./libraries/Tallies.sol";
import {Facts, Witnesses} from "./libraries/Witnesses.sol";

/// @dev See IReputation. Calls no contract but the token, in deposit() and withdraw(), and its siblings' views.
contract Reputation is IReputation, ReentrancyGuardTransient {
    using Tallies for Tally;

    struct Account {
        bytes32 heard;
        Tally said; // its note: 1 for a seed
        uint128 purseWei;
        uint32 ratingQ32;
        uint32 ratingCut;
    }

    struct Vouch {
        uint128 stakeWei;
        uint32 id; // 0: there is none
        uint32 weight;
        uint32 endedEpoch;
        bool ended;
    }

    struct Harvest {
        uint32 epoch;
        uint16 rounds; // 0 before the first
    }

    struct Proposal {
        uint64 hits;
        uint8 paths;
        uint32 cut;
        uint32 ratingQ32;
        uint64 finalBlock; // 0: there is none
    }

    struct Challenge {
        address challenger;
        uint64 proofBlock;
    }

    /// What is burned lies in its purse: nobody can sign for it.
    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;
    uint256 internal constant LAPSE_EPOCHS = 3; // a rating counts so many epochs after its cut

    /// @inheritdoc IReputation
    IRounds public immutable rounds;
    /// @inheritdoc IReputation
    ISettlement public immutable settlement;
    /// @inheritdoc IReputation
    address public immutable token;
    /// @inheritdoc IReputation
    uint256 public immutable seeds;

    uint16 private immutable _alphaBps;
    uint16 private immutable _betaBps;
    uint8 private immutable _maxPaths;
    uint32 private immutable _epochBlocks;
    uint128 private immutable _vouchRoundWei;
    uint32 private immutable _challengeBlocks;
    uint32 private immutable _proofBlocks;
    uint128 private immutable _bondWei;
    uint16 private immutable _challengerBps;

    /* STORAGE */

    mapping(address account => Account) private _accounts;
    mapping(address voucher => mapping(address account => Vouch)) private _vouches;
    mapping(uint256 run => Harvest) private _harvests;
    mapping(address account => Proposal) private _proposals;
    mapping(address account => Challenge) private _challenges;

    /// @inheritdoc IReputation
    mapping(uint32 id => bytes32) public panelOf;

    /// Accounts ever endorsed; its note is the latest endorsement's id.
    /// @dev Ids never reach Endorsements.ENDS: each takes a transaction.
    Tally private _known;

    modifier paid() {
        if (token == address(0)) revert NoToken();
        _;
    }

    constructor(
        IRounds rounds_,
        ISettlement settlement_,
        address token_,
        ReputationTerms memory terms_,
        address[] memory seeds_
    ) {
        _checkTerms(terms_);
        (rounds, settlement, token, seeds) = (rounds_, settlement_, token_, seeds_.length);
        (_alphaBps, _betaBps, _maxPaths) = (terms_.alphaBps, terms_.betaBps, terms_.maxPaths);
        (_epochBlocks, _challengeBlocks, _proofBlocks) =
        (terms_.epochBlocks, terms_.challengeBlocks, terms_.proofBlocks);
        (_vouchRoundWei, _bondWei, _challengerBps) = (terms_.vouchRoundWei, terms_.bondWei, terms_.challengerBps);
        for (uint256 i; i < seeds_.length; ++i) {
            // A seed named twice would lose the others mass.
            if (isSeed(seeds_[i])) revert MalformedTerms();
            _accounts[seeds_[i]].said.note = 1;
        }
    }

    /* ENDORSEMENTS */

    /// @inheritdoc IReputation
    function harvest(uint256 run, bytes24 roster, bytes calldata standings) external returns (uint32 id) {
        uint32 epoch_ = epoch();
        Harvest memory last = _harvests[run];
        if (last.rounds != 0 && last.epoch == epoch_) revert AlreadyHarvested(run, epoch_);
        (Leaf first, uint256 count) = _load(run, roster, standings);
        uint256 round = rounds.clock(run).round;
        (uint256 settled, uint256 valueQ32) = Endorsements.survey(first, count, round);
        if (settled <= last.rounds) revert NothingToHarvest(run);

        uint16 newRounds = uint16(settled - last.rounds); // leaves count rounds in 16 bits
        (uint256[] memory rows, uint256 said) =
            Endorsements.rowsOf(first, count, round, newRounds * Endorsements.ROUND_UNITS, valueQ32);
        address[] memory endorsers = _speakFor(run, first, count, epoch_, said);
        if (rows.length == 0 || endorsers.length == 0) revert NothingToHarvest(run);
        _harvests[run] = Harvest(epoch_, uint16(settled));
        id = _endorse(rows, epoch_);
        panelOf[id] = keccak256(abi.encodePacked(endorsers));

        emit Harvested(run, id, epoch_, newRounds, endorsers, rows);
    }

    /// @inheritdoc IReputation
    function vouch(address account, uint128 stakeWei) external paid returns (uint32 id) {
        if (account == msg.sender) revert NotForOneself(account);
        if (stakeWei < _vouchRoundWei) revert VouchTooSmall(stakeWei, _vouchRoundWei);
        if (_vouches[msg.sender][account].id != 0) revert AlreadyVouched(msg.sender, account);
        uint32 epoch_ = epoch();
        uint256 weight = uint256(stakeWei) * Endorsements.ROUND_UNITS / _vouchRoundWei;
        if (weight > Endorsements.MAX_SAID || !_say(msg.sender, epoch_, weight)) revert TooMuchSaid(msg.sender);

        _take(msg.sender, stakeWei);
        uint256[] memory rows = new uint256[](1);
        rows[0] = uint256(uint160(account)) << 32 | weight;
        id = _endorse(rows, epoch_);
        panelOf[id] = keccak256(abi.encode(msg.sender));
        _vouches[msg.sender][account] = Vouch(stakeWei, id, uint32(weight), 0, false);

        emit Vouched(msg.sender, account, id, epoch_, uint32(weight), stakeWei);
    }

    /// @inheritdoc IReputation
    function unvouch(address account) external {
        Vouch memory found = _requireVouch(msg.sender, account);
        if (found.ended) revert AlreadyUnvouched(msg.sender, account, found.endedEpoch);
        (found.ended, found.endedEpoch) = (true, epoch());
        _vouches[msg.sender][account] = found;
        _end(msg.sender, account, found);

        emit Unvouched(msg.sender, account, found.id, found.endedEpoch);
    }

    /// @inheritdoc IReputation
    function reclaim(address account) external {
        Vouch memory found = _requireVouch(msg.sender, account);
        uint32 epoch_ = epoch();
        uint32 freeEpoch = found.ended ? found.endedEpoch + 2 : type(uint32).max;
        if (epoch_ < freeEpoch) revert StillLocked(freeEpoch, epoch_);
        delete _vouches[msg.sender][account];
        _give(msg.sender, found.stakeWei);

        emit Reclaimed(msg.sender, account, found.stakeWei);
    }

    /// @inheritdoc IReputation
    function slashVouch(
        address voucher,
        address account,
        uint256 run,
        bytes24 roster,
        bytes calldata standings,
        uint256 index
    ) external {
        Vouch memory found = _requireVouch(voucher, account);
        (Leaf first, uint256 count) = _load(run, roster, standings);
        if (index >= count) revert NotBanned(run, account);
        Leaf leaf = Leaf.wrap(Leaf.unwrap(first) + Standings.SIZE * index);
        if (leaf.account() != account || leaf.banRound() < rounds.clock(run).round) {
            revert NotBanned(run, account);
        }
        delete _vouches[voucher][account];
        if (!found.ended) {
            found.endedEpoch = epoch();
            _end(voucher, account, found);
        }
        (uint128 rewardWei, uint128 burnWei) = _split(found.stakeWei, msg.sender);

        emit VouchSlashed(voucher, account, run, msg.sender, found.id, found.endedEpoch, rewardWei, burnWei);
    }

    /* RATINGS */

    /// @inheritdoc IReputation
    function propose(uint64 hits, uint8 paths) external paid {
        Proposal memory pending = _proposals[msg.sender];
        if (pending.finalBlock != 0) revert AlreadyProposed(msg.sender, pending.cut);
        if (paths > _maxPaths) revert TooManyPaths(paths, _maxPaths);
        if (block.number < _epochBlocks) revert TooEarly(_epochBlocks, block.number); // no epoch has ended
        uint32 cut = epoch() - 1;
        _take(msg.sender, _bondWei);
        // Blocks have 64 bits everywhere.
        uint32 ratingQ32 = Ratings.ratingQ32(hits, paths, _read(_known, cut), _alphaBps, _betaBps);
        pending = Proposal(hits, paths, cut, ratingQ32, uint64(block.number + _challengeBlocks));
        _proposals[msg.sender] = pending;

        emit RatingProposed(msg.sender, cut, hits, paths, pending.ratingQ32, pending.finalBlock);
    }

    /// @inheritdoc IReputation
    function challenge(address account) external {
        Proposal memory pending = _requireProposal(account);
        address challenger = _challenges[account].challenger;
        if (challenger != address(0)) revert AlreadyChallenged(account, challenger);
        if (block.number >= pending.finalBlock) revert TooLate(pending.finalBlock, block.number);
        _take(msg.sender, _bondWei);
        uint64 proofBlock = uint64(block.number + _proofBlocks);
        _challenges[account] = Challenge(msg.sender, proofBlock);

        emit RatingChallenged(account, pending.cut, msg.sender, proofBlock);
    }

    /// @inheritdoc IReputation
    function prove(address account, Witness calldata witness) external {
        Proposal memory pending = _requireProposal(account);
        Challenge memory doubt = _challenges[account];
        uint64 untilBlock = doubt.challenger == address(0) ? pending.finalBlock : doubt.proofBlock;
        if (block.number >= untilBlock) revert TooLate(untilBlock, block.number);
        Witnesses.checkNodes(witness.nodes, account);
        Witnesses.check(witness, _facts(witness, pending.cut), pending.hits, pending.paths);

        (uint128 rewardWei, uint128 burnWei) = (0, 0);
        if (doubt.challenger != address(0)) {
            delete _challenges[account];
            (rewardWei, burnWei) = _split(_bondWei, account);
        }

        emit RatingProven(account, pending.cut, rewardWei, burnWei);

        _finish(account, pending);
    }

    /// @inheritdoc IReputation
    function refute(address account) external {
        Proposal memory pending = _requireProposal(account);
        Challenge memory doubt = _challenges[account];
        if (doubt.challenger == address(0)) revert NotChallenged(account);
        if (block.number < doubt.proofBlock) revert TooEarly(doubt.proofBlock, block.number);
        delete _proposals[account];
        delete _challenges[account];
        (uint128 rewardWei, uint128 burnWei) = _split(_bondWei, doubt.challenger);
        _give(doubt.challenger, _bondWei);

        emit RatingRefuted(account, pending.cut, doubt.challenger, rewardWei, burnWei);
    }

    /// @inheritdoc IReputation
    function finalise(address account) external {
        Proposal memory pending = _requireProposal(account);
        address challenger = _challenges[account].challenger;
        if (challenger != address(0)) revert AlreadyChallenged(account, challenger);
        if (block.number < pending.finalBlock) revert TooEarly(pending.finalBlock, block.number);
        _finish(account, pending);
    }

    /* MONEY */

    /// @inheritdoc IReputation
    function deposit(uint256 amountWei) external paid nonReentrant {
        uint128 arrivedWei = Deposit.pull(token, amountWei);
        _give(msg.sender, arrivedWei);

        emit Deposited(msg.sender, arrivedWei);
    }

    /// @inheritdoc IReputation
    function withdraw(uint128 amountWei) external paid nonReentrant {
        _take(msg.sender, amountWei);

        emit Withdrawn(msg.sender, amountWei);

        SafeTransferLib.safeTransfer(token, msg.sender, amountWei);
    }

    /* VIEWS */

    /// @inheritdoc IReputation
    function ratingOf(address account) external view returns (uint32 ratingQ32) {
        Account storage found = _accounts[account];
        return epoch() > found.ratingCut + LAPSE_EPOCHS ? 0 : found.ratingQ32;
    }

    /// @inheritdoc IReputation
    function epoch() public view returns (uint32) {
        return uint32(block.number / _epochBlocks); // 2^32 blocks of a second last 136 years
    }

    /// @inheritdoc IReputation
    function terms() external view returns (ReputationTerms memory) {
        return ReputationTerms(
            _alphaBps,
            _betaBps,
            _maxPaths,
            _epochBlocks,
            _vouchRoundWei,
            _challengeBlocks,
            _proofBlocks,
            _bondWei,
            _challengerBps
        );
    }

    /// @inheritdoc IReputation
    function isSeed(address account) public view returns (bool) {
        return _accounts[account].said.note == 1;
    }

    /// @inheritdoc IReputation
    function purseOf(address account) external view returns (uint128 amountWei) {
        return _accounts[account].purseWei;
    }

    /// @inheritdoc IReputation
    function heard(address account) external view returns (bytes32) {
        return _accounts[account].heard;
    }

    /// @inheritdoc IReputation
    function saidUntil(address account, uint32 cut) external view returns (uint64) {
        return _read(_accounts[account].said, cut);
    }

    /// @inheritdoc IReputation
    function knownUntil(uint32 cut) external view returns (uint64) {
        return _read(_known, cut);
    }

    /// @inheritdoc IReputation
    function lastEndorsement() external view returns (uint32) {
        return _known.note;
    }

    /// @inheritdoc IReputation
    function proposalOf(address account)
        external
        view
        returns (
            uint64 hits,
            uint8 paths,
            uint32 cut,
            uint32 ratingQ32,
            uint64 finalBlock,
            address challenger,
            uint64 proofBlock
        )
    {
        Proposal memory pending = _proposals[account];
        Challenge memory doubt = _challenges[account];
        (hits, paths, cut, ratingQ32, finalBlock) =
        (pending.hits, pending.paths, pending.cut, pending.ratingQ32, pending.finalBlock);
        (challenger, proofBlock) = (doubt.challenger, doubt.proofBlock);
    }

    /* PRIVATE: ENDORSEMENTS */

    /// The run's final standings in memory.
    function _load(uint256 run, bytes24 roster, bytes calldata standings)
        private
        view
        returns (Leaf first, uint256 count)
    {
        bytes memory packed = abi.encodePacked(roster, standings);
        (bytes32 expected, bytes32 actual) = (settlement.standingsHash(run), keccak256(packed));
        if (actual != expected) revert StandingsMismatch(expected, actual);
        assembly ("memory-safe") {
            first := add(packed, 56) // behind the length and the roster
        }
        count = standings.length / Standings.SIZE;
    }

    /// Lets each verifier who is seated and agrees say `said`, but for whom that is too much. Returns them in index order.
    function _speakFor(uint256 run, Leaf leaf, uint256 count, uint32 epoch_, uint256 said)
        private
        returns (address[] memory endorsers)
    {
        endorsers = new address[](count);
        uint256 found;
        for (uint256 i; i < count; ++i) {
            if (Endorsements.isOf(leaf, Role.VERIFIER) && leaf.valueQ32() != 0) {
                address account = leaf.account();
                Seat memory seat = rounds.seat(run, account);
                if (seat.role == Role.VERIFIER && !seat.retired && _say(account, epoch_, said)) {
                    endorsers[found++] = account;
                }
            }
            leaf = leaf.next();
        }
        assembly ("memory-safe") {
            mstore(endorsers, found)
        }
    }

    /// Adds to what an account says, if it does not become too much. `weight` is below 2^32.
    function _say(address account, uint32 epoch_, uint256 weight) private returns (bool) {
        Tally memory said = _accounts[account].said;
        if (said.total + weight > Endorsements.MAX_SAID) return false;
        said.moveTo(epoch_);
        said.total += uint64(weight);
        _accounts[account].said = said;
        return true;
    }

    /// One entry for each row, under a new id.
    function _endorse(uint256[] memory rows, uint32 epoch_) private returns (uint32 id) {
        Tally memory known = _known;
        known.moveTo(epoch_);
        id = ++known.note;
        for (uint256 i; i < rows.length; ++i) {
            uint256 row = Mem.get(rows, i);
            Account storage account = _accounts[address(uint160(row >> 32))];
            bytes32 heard_ = account.heard;
            if (heard_ == 0) ++known.total;
            account.heard = Endorsements.fold(heard_, epoch_, id, uint32(row));
        }
        _known = known;
    }

    /// Takes away what a vouch said, from `endedEpoch`, which is now, on.
    function _end(address voucher, address account, Vouch memory ended) private {
        Tally memory said = _accounts[voucher].said;
        said.moveTo(ended.endedEpoch);
        said.total -= ended.weight;
        _accounts[voucher].said = said;
        Account storage about = _accounts[account];
        about.heard = Endorsements.fold(about.heard, ended.endedEpoch, Endorsements.ENDS | ended.id, ended.weight);
    }

    function _requireVouch(address voucher, address account) private view returns (Vouch memory found) {
        found = _vouches[voucher][account];
        if (found.id == 0) revert NoVouch(voucher, account);
    }

    function _read(Tally memory tally, uint32 cut) private view returns (uint64 total) {
        bool known;
        (known, total) = tally.read(cut);
        if (!known) revert TooOld(cut, epoch());
    }

    /* PRIVATE: RATINGS */

    /// The chain's side of a witness that is about the end of epoch `cut`.
    function _facts(Witness calldata witness, uint32 cut) private view returns (Facts memory facts) {
        Node[] calldata nodes = witness.nodes;
        (facts.cut, facts.alphaBps, facts.maxPaths) = (cut, _alphaBps, _maxPaths);
        if (seeds != 0) facts.startMass = Ratings.ONE_MASS / seeds;
        facts.heard = new bytes32[](nodes.length);
        facts.said = new uint256[](nodes.length);
        for (uint256 i; i < nodes.length; ++i) {
            Account storage account = _accounts[nodes[i].account];
            Tally memory said = account.said;
            (facts.heard[i], facts.said[i]) = (account.heard, _read(said, cut));
            facts.seeds |= uint256(said.note) << i;
        }
        Panel[] calldata panels = witness.panels;
        facts.panels = new bytes32[](panels.length);
        for (uint256 k; k < panels.length; ++k) {
            facts.panels[k] = panelOf[panels[k].id];
        }
    }

    function _requireProposal(address account) private view returns (Proposal memory pending) {
        pending = _proposals[account];
        if (pending.finalBlock == 0) revert NotProposed(account);
    }

    /// The bond goes back, the rating counts.
    function _finish(address account, Proposal memory pending) private {
        delete _proposals[account];
        Account storage found = _accounts[account];
        (found.purseWei, found.ratingQ32, found.ratingCut) = (found.purseWei + _bondWei, pending.ratingQ32, pending.cut);

        emit RatingFinal(account, pending.cut, pending.ratingQ32);
    }

    /* PRIVATE: MONEY */

    function _give(address account, uint128 amountWei) private {
        _accounts[account].purseWei += amountWei;
    }

    function _take(address account, uint128 amountWei) private {
        uint128 freeWei = _accounts[account].purseWei;
        if (freeWei < amountWei) revert PurseTooSmall(account, freeWei, amountWei);
        unchecked {
            _accounts[account].purseWei = freeWei - amountWei; // was just compared
        }
    }

    /// What somebody has lost: a part for who found out, the rest burned.
    function _split(uint128 lostWei, address finder) private returns (uint128 rewardWei, uint128 burnWei) {
        rewardWei = uint128(Fixed.bpsDown(lostWei, _challengerBps)); // at most half of it
        burnWei = lostWei - rewardWei;
        _give(finder, rewardWei);
        _give(DEAD, burnWei);
    }

    /* PRIVATE: TERMS */

    /// The rules of src/gradmint/spec/reputation_params.py.
    function _checkTerms(ReputationTerms memory t) private pure {
        bool holds = 100 <= t.alphaBps && t.alphaBps <= 9_000 && t.betaBps <= 10_000 && 1 <= t.maxPaths
            && t.maxPaths <= 8 && 1 <= t.epochBlocks && 1 <= t.vouchRoundWei && 1 <= t.challengeBlocks
            && 1 <= t.proofBlocks && uint256(t.challengeBlocks) + t.proofBlocks <= t.epochBlocks && 1 <= t.bondWei
            && t.challengerBps <= 5_000;
        if (!holds) revert MalformedTerms();
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "./IRounds.sol";
import {ISettlement} from "./ISettlement.sol";

/// What a deployment's reputation follows; src/gradmint/spec/reputation_params.py gives every field its unit and reason.
struct ReputationTerms {
    uint16 alphaBps;
    uint16 betaBps;
    uint8 maxPaths;
    uint32 epochBlocks;
    uint128 vouchRoundWei;
    uint32 challengeBlocks;
    uint32 proofBlocks;
    uint128 bondWei;
    uint16 challengerBps;
}

/// An account through which walks come, and how often at least.
struct Node {
    address account;
    uint64 visits; // units of 2^-56; of the first node, the subject, its hits
    bytes heard; // every entry about it, in order: 12 bytes each, epoch uint32 | endorsement uint32 | weight uint32
}

/// Who spoke in one endorsement.
struct Panel {
    uint32 id;
    address[] endorsers; // all of them, in order
    bytes places; // one byte each: 1 + index of the node that it is; 0: not counted
}

/// Why somebody's hits are at least so many, and its paths at least so many: spec/witness.py.
struct Witness {
    Node[] nodes; // at most 255, the subject first; what the subject says of others counts for nothing
    Panel[] panels; // ids ascending; entries of other endorsements count for nothing
    bytes[] paths; // indices of nodes, one byte each: from a seed to the subject; they share nothing between
}

/// @title Reputation: endorsements, and ratings that follow from them
/// @notice Accounts endorse accounts: the verifiers of a run the trainers whose work they have verified, once an epoch
/// (harvest), and anyone anyone with a stake (vouch). From the deployment's seeds on, that is a graph of which everyone computes
/// the same hits and paths (spec/reputation.py). An account proposes its own rating behind a bond, for the graph as it was when
/// the epoch before ended; who doubts it challenges with as much. Then the account shows a witness: visits of some accounts,
/// each at most what the others hand on to it. Whatever fulfils that is not above the truth (the step is monotone and
/// contracts), and the truth itself fulfils it: a true rating can always be shown, a false one never.
/// @dev Endorsements are the contract's own acts, so nothing about the graph can be disputed. Lists are kept as hashes; who
/// needs one brings it. Ratings lapse, so a fall needs nobody's help.
/// @dev Not guaranteed: that a false rating which nobody challenges stays out.
interface IReputation {
    event Deposited(address indexed account, uint128 amountWei);
    event Withdrawn(address indexed account, uint128 amountWei);
    /// `rows`: account << 32 | weight, in index order. Weights are parts of `newRounds` x 4,096, rounded down.
    event Harvested(
        uint256 indexed run, uint32 id, uint32 epoch, uint16 newRounds, address[] endorsers, uint256[] rows
    );
    event Vouched(
        address indexed voucher, address indexed account, uint32 id, uint32 epoch, uint32 weight, uint128 stakeWei
    );
    /// From this epoch on it weighs nothing; the stake stays where it is.
    event Unvouched(address indexed voucher, address indexed account, uint32 id, uint32 epoch);
    event Reclaimed(address indexed voucher, address indexed account, uint128 stakeWei);
    /// The account was banned in `run` while it was vouched for.
    event VouchSlashed(
        address indexed voucher,
        address indexed account,
        uint256 run,
        address indexed finder,
        uint32 id,
        uint32 epoch,
        uint128 rewardWei,
        uint128 burnWei
    );
    event RatingProposed(
        address indexed account, uint32 cut, uint64 hits, uint8 paths, uint32 ratingQ32, uint64 finalBlock
    );
    event RatingChallenged(address indexed account, uint32 cut, address indexed challenger, uint64 proofBlock);
    /// No witness came in time.
    event RatingRefuted(
        address indexed account, uint32 cut, address indexed challenger, uint128 rewardWei, uint128 burnWei
    );
    /// A witness came; the challenger's bond, if there was one, is split.
    event RatingProven(address indexed account, uint32 cut, uint128 rewardWei, uint128 burnWei);
    event RatingFinal(address indexed account, uint32 cut, uint32 ratingQ32);

    error MalformedTerms();
    error NoToken();
    error PurseTooSmall(address account, uint256 freeWei, uint256 neededWei);
    error StandingsMismatch(bytes32 expected, bytes32 actual);
    error AlreadyHarvested(uint256 run, uint32 epoch);
    /// No round was settled since the last harvest, or nobody's work counts.
    error NothingToHarvest(uint256 run);
    /// A sum of weights stays below 2^32.
    error TooMuchSaid(address account);
    error NotForOneself(address account);
    error VouchTooSmall(uint256 stakeWei, uint256 leastWei);
    error AlreadyVouched(address voucher, address account);
    error NoVouch(address voucher, address account);
    error AlreadyUnvouched(address voucher, address account, uint32 epoch);
    /// The stake is free from epoch `freeEpoch` on.
    error StillLocked(uint32 freeEpoch, uint32 epoch);
    error NotBanned(uint256 run, address account);
    error AlreadyProposed(address account, uint32 cut);
    error NotProposed(address account);
    error TooManyPaths(uint256 paths, uint256 most);
    error AlreadyChallenged(address account, address challenger);
    error NotChallenged(address account);
    error TooEarly(uint64 fromBlock, uint256 nowBlock);
    error TooLate(uint64 untilBlock, uint256 nowBlock);
    /// Nothing is kept of an epoch so long ago.
    error TooOld(uint32 cut, uint32 epoch);
    /// The list of node `node` does not hash to what the contract keeps.
    error HeardMismatch(uint256 node, bytes32 expected, bytes32 actual);
    error PanelMismatch(uint32 id, bytes32 expected, bytes32 actual);
    /// Its ids do not ascend, or a place names another account.
    error MalformedPanel(uint32 id);
    /// The first node is the subject; there are 1 to 255.
    error MalformedNodes();
    /// Node `node` claims more visits than are handed on to it.
    error TooManyVisits(uint256 node, uint256 shown, uint256 claimed);
    /// Path `path` does not lead from a seed along endorsements to the subject, or meets another path or itself.
    error MalformedPath(uint256 path);
    error TooFewPaths(uint256 shown, uint256 claimed);

    /* ENDORSEMENTS */

    /// Once an epoch and run, by anyone: its verifiers who are seated and agree endorse its trainers who are not banned, by their
    /// running value. `standings`: packed, behind `roster` they hash to what is final.
    function harvest(uint256 run, bytes24 roster, bytes calldata standings) external returns (uint32 id);
    /// Lock `stakeWei` of the caller's purse for the conduct of `account`; at least `vouchRoundWei`.
    function vouch(address account, uint128 stakeWei) external returns (uint32 id);
    /// End the caller's vouch. Its stake can still be slashed until it is reclaimed.
    function unvouch(address account) external;
    /// Back into the purse, when the epoch after unvouch() is over.
    function reclaim(address account) external;
    /// `account` is banned now, as place `index` of these final standings says: its voucher loses the stake.
    function slashVouch(
        address voucher,
        address account,
        uint256 run,
        bytes24 roster,
        bytes calldata standings,
        uint256 index
    ) external;

    /* RATINGS */

    /// The caller's rating by the graph at the end of the epoch before; costs a bond until it is final.
    function propose(uint64 hits, uint8 paths) external;
    function challenge(address account) external;
    /// Makes a proposal final at once, challenged or not. By anyone.
    function prove(address account, Witness calldata witness) external;
    /// Challenged, and no witness came in time.
    function refute(address account) external;
    /// Not challenged in time.
    function finalise(address account) external;

    /* MONEY */

    function deposit(uint256 amountWei) external;
    function withdraw(uint128 amountWei) external;

    /* VIEWS */

    /// What `account` has by a rating that has not lapsed: score / (score + reference), Q32; 0 without one.
    function ratingOf(address account) external view returns (uint32 ratingQ32);
    function epoch() external view returns (uint32);
    function terms() external view returns (ReputationTerms memory);
    function token() external view returns (address);
    function isSeed(address account) external view returns (bool);
    function seeds() external view returns (uint256);
    /// Free: neither behind a vouch nor behind a bond.
    function purseOf(address account) external view returns (uint128 amountWei);
    /// Rolling hash of what was said about `account`: keccak256(hash || entry).
    function heard(address account) external view returns (bytes32);
    /// Sum of the weights that `account` has given until the end of epoch `cut`.
    function saidUntil(address account, uint32 cut) external view returns (uint64);
    /// Accounts that anyone has endorsed until the end of epoch `cut`.
    function knownUntil(uint32 cut) external view returns (uint64);
    /// keccak256 of the endorsers, 32 bytes each.
    function panelOf(uint32 id) external view returns (bytes32);
    function lastEndorsement() external view returns (uint32);
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
        );
    function rounds() external view returns (IRounds);
    function settlement() external view returns (ISettlement);
}

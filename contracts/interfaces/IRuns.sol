// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Params, Run} from "./Types.sol";

/// @title Money of runs: nothing else holds reward tokens
/// @notice A sponsor escrows a budget under immutable parameters; settlements promise it to participants as cumulative
/// payouts under a Merkle-sum root; anyone claims for anyone. paid + claimable + unpromised + refunded == deposited.
/// @dev Warning: tokens whose balances change by themselves (rebasing) are not supported: their runs, and only runs in the
/// same token, may be unable to pay the last claims. Fee-on-transfer tokens are: what arrives is what counts.
/// @dev Nobody can block a payout of others: no push payments, no owner, no pause. A token may refuse a recipient (block
/// list); then only that recipient's claim fails.
interface IRuns {
    event Opened(uint256 indexed run, address indexed sponsor, address token, bytes params, uint256 budgetWei);
    event Funded(uint256 indexed run, address indexed from, uint256 amountWei);
    event Claimed(uint256 indexed run, address indexed account, uint256 amountWei, uint256 cumulativeWei);
    event Refunded(uint256 indexed run, address indexed sponsor, uint256 amountWei);

    error UnknownRun(uint256 run);
    /// There is no code at `token`.
    error NotAToken(address token);
    error OnlySponsor(address caller, address sponsor);
    /// The run has ended: nothing can be added to its budget.
    error RunEnded(uint256 run);
    /// The run goes on: its budget stays until the end.
    error RunNotEnded(uint256 run);
    error AlreadyRefunded(uint256 run);
    /// Total payouts only grow.
    error TotalShrank(uint256 promisedWei, uint256 proposedWei);
    /// No root promises more than was deposited.
    error Insolvent(uint256 proposedWei, uint256 depositedWei);
    /// The proof leads elsewhere: wrong standing, position or token, or a root newer than the proof. `root` is where it led.
    error SealMismatch(bytes32 expected, bytes32 actual, bytes32 root);
    error ProofLength(uint256 lengthBytes);
    error NothingToClaim(uint256 run, address account, uint256 cumulativeWei);

    /// @notice Opens a run and moves `budgetWei` of `token` from the caller into escrow.
    /// @param params Checked by the rules of Params.check in the specification; see ParamsRules for the errors.
    /// @param token Any ERC-20, also one that returns nothing or takes a fee; what arrives is the budget.
    /// @param budgetWei May be 0: anyone may fund later.
    /// @return run Sequential, from 1.
    function open(Params calldata params, address token, uint256 budgetWei) external returns (uint256 run);

    /// @notice Adds to the budget of a run that has not ended. A gift: it comes back, if at all, to the sponsor.
    function fund(uint256 run, uint256 amountWei) external;

    /// @notice Ends a run that nobody has worked for yet: only the sponsor, only before round 1. Budget and stakes are free.
    function cancel(uint256 run) external;

    /// @notice Records a settlement's root. Only Settlement.
    /// @dev `totalWei` must be the root's sum; Settlement computes both from the same leaves.
    function post(uint256 run, bytes32 root, uint256 totalWei) external;

    /// @notice Pays `account` of a standing what it has earned and not yet claimed. Anyone may call, for anyone.
    /// @param token The run's token. Brought along because it is sealed together with the root: one storage read less.
    /// @param standing The packed standing, three words; its account is paid.
    /// @param rightBits Bit k is set when our node is the right child at step k.
    /// @param proof Siblings from leaf to root, 48 bytes each: hash 32 | sum uint128.
    /// @dev Proofs are against the newest root; a claim that a settlement overtakes reverts and is repeated with a new proof.
    function claim(uint256 run, address token, bytes32[3] calldata standing, uint256 rightBits, bytes calldata proof)
        external;

    /// @notice After the end: sends what was deposited and never promised to the sponsor. Once; anyone may call.
    function refund(uint256 run) external;

    /// @notice How many runs were opened; the newest run's number.
    function lastRun() external view returns (uint256);
    function info(uint256 run) external view returns (Run memory);
    /// @notice What joining and leaving need to know.
    function terms(uint256 run)
        external
        view
        returns (address token, uint32 exitS, uint128 trainerStakeWei, uint128 verifierStakeWei);
    /// @notice Cumulative amount that `account` has been paid out of `run`.
    function claimed(uint256 run, address account) external view returns (uint256);
    /// @notice Deposited and neither promised nor refunded.
    function unpaid(uint256 run) external view returns (uint256);
}

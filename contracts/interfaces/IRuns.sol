// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Claim, Params, Run} from "./Types.sol";

/// @title Money of runs: nothing else holds reward tokens
/// @notice A sponsor escrows a budget under immutable parameters; settlements promise it to participants as cumulative
/// payouts under a Merkle-sum root; anyone claims for anyone. paid + claimable + unpromised + refunded == deposited.
/// Claimable is what the root's leaves say and what was kept for those whose seat a newcomer took.
/// @dev Warning: tokens whose balances change by themselves (rebasing) are not supported: their runs, and only runs in the
/// same token, may be unable to pay the last claims. Fee-on-transfer tokens are: what arrives is what counts.
/// @dev Nobody can block a payout of others: no push payments, no owner, no pause. A token may refuse a recipient (block
/// list); then only that recipient's claim fails.
interface IRuns {
    event Opened(uint256 indexed run, address indexed sponsor, address token, bytes params, uint256 budgetWei);
    event Funded(uint256 indexed run, address indexed from, uint256 amountWei);
    event Claimed(uint256 indexed run, address indexed account, uint256 amountWei);
    /// The claim before this row went to `recipient`.
    event Redirected(uint256 indexed run, address indexed account, address indexed recipient);
    /// A newcomer took this account's seat: what it was promised is no leaf any more, and stays claimable.
    event Left(uint256 indexed run, address indexed account, uint256 cumulativeWei);
    event Refunded(uint256 indexed run, address indexed sponsor, uint256 amountWei);

    error UnknownRun(uint256 run);
    /// There is no code at `token`.
    error NotAToken(address token);
    error OnlySponsor(address caller, address sponsor);
    /// The run has ended: nothing can be added to its budget.
    error RunEnded(uint256 run);
    /// The run goes on: its budget stays until the end.
    error RunNotEnded(uint256 run);
    /// Rounds are recorded and not settled: what they promise comes first.
    error NotSettled(uint256 run);
    error AlreadyRefunded(uint256 run);
    /// Total payouts only grow.
    error TotalShrank(uint256 promisedWei, uint256 proposedWei);
    /// No root promises more than was deposited.
    error Insolvent(uint256 proposedWei, uint256 depositedWei);
    /// The proof leads elsewhere: wrong account, amount, position or token, or a root newer than the proof. `root` is where
    /// it led.
    error SealMismatch(bytes32 expected, bytes32 actual, bytes24 root);
    /// More would leave a proposing run than its settlements promised: one of them was false, and nobody refuted it.
    error Overdrawn(uint256 run, uint256 drawnWei, uint256 totalWei);
    /// The signature's time is over.
    error Expired(uint256 deadlineS, uint256 nowS);
    /// Not the account's signature of this digest, or its contract refuses it.
    error BadSignature(address account, bytes32 digest);
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
    /// @dev `totalWei` must be the root's sum and everything kept; Settlement computes both from the same leaves.
    function post(uint256 run, bytes24 root, uint256 totalWei) external;

    /// @notice Keeps what was promised to an account that has no leaf any more. Only Settlement.
    function keep(uint256 run, address account, uint256 cumulativeWei) external;

    /// @notice Pays `account` what it has earned and not yet claimed. Anyone may call, for anyone.
    /// @param token The run's token. Brought along because it is sealed together with the root: one storage read less.
    /// @param paidWei Of the account's standing: everything ever promised to it.
    /// @param rightBits Bit k is set when our node is the right child at step k.
    /// @param proof Siblings from leaf to root, 40 bytes each: hash 24 | sum uint128.
    /// @dev Proofs are against the newest root; a claim that a settlement overtakes reverts and is repeated with a new proof.
    function claim(
        uint256 run,
        address token,
        address account,
        uint256 paidWei,
        uint256 rightBits,
        bytes calldata proof
    ) external;

    /// @notice The same, paid to `recipient` by the account's EIP-712 signature (ERC-1271 for contracts) of
    /// Redirect(uint256 run,address account,address recipient,uint256 paidWei,uint256 deadlineS), domain Gradmint 1.
    /// @param deadlineS Unix seconds; the signature counts strictly before it.
    /// @dev The signature binds the cumulative amount: a replay finds nothing to claim. Warning: anyone may claim the same
    /// amount to the account itself first; then the redirection finds nothing either.
    function claimTo(
        uint256 run,
        address token,
        address account,
        uint256 paidWei,
        uint256 rightBits,
        bytes calldata proof,
        address recipient,
        uint256 deadlineS,
        bytes calldata signature
    ) external;

    /// @notice Many claims, of any runs and accounts, at once. One that has nothing to claim is skipped.
    /// @dev Not guaranteed: that one whose proof is wrong or whose token refuses the payout leaves the others alone. It
    /// reverts them all.
    function claimMany(Claim[] calldata claims) external;

    /// @notice Pays an account whose seat a newcomer took what was kept for it. Anyone, for anyone.
    function claimLeft(uint256 run, address account) external;

    /// @notice After the end, and when all recorded rounds are settled: sends what was deposited and never promised to the
    /// sponsor. Once; anyone may call.
    function refund(uint256 run) external;

    /// @notice How many runs were opened; the newest run's number.
    function lastRun() external view returns (uint256);
    function info(uint256 run) external view returns (Run memory);
    /// @notice What joining and leaving need to know.
    function terms(uint256 run)
        external
        view
        returns (address token, uint32 exitS, uint128 trainerStakeWei, uint128 verifierStakeWei);
    /// @notice What ever arrived, and what was ever promised.
    function books(uint256 run) external view returns (uint128 depositedWei, uint128 totalWei);
    /// @notice What a re-execution goes by: keccak256(abi.encode(params)), and what was promised before.
    function basis(uint256 run) external view returns (bytes32 paramsHash, uint128 totalWei);
    /// @notice What a proposing run has paid out so far, never above its total; not counted in a direct run, whose roots
    /// were computed on chain.
    function drawn(uint256 run) external view returns (uint256 amountWei);
    /// @notice Cumulative amount kept for an account that has no leaf any more.
    function left(uint256 run, address account) external view returns (uint256);
    /// @notice Cumulative amount that `account` has been paid out of `run`.
    function claimed(uint256 run, address account) external view returns (uint256);
    /// @notice Deposited and neither promised nor refunded.
    function unpaid(uint256 run) external view returns (uint256);
}

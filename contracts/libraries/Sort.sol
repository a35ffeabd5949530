// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// Sorting whole words by merging: N log N at worst, about 80 gas a word and level.
///
/// Solady's quicksort is a fifth cheaper on average, but an order made for it takes N^2 / 4 steps, and from some 300 words on
/// a recursion deeper than the EVM's stack: whoever steers the gains of many trainers could keep a round from being settled.
library Sort {
    /// Sorts in place, ascending.
    /// @dev Works in the free memory behind the pointer, as much again as the array, and leaves the pointer where it is.
    function sort(uint256[] memory array) internal pure {
        assembly ("memory-safe") {
            let from := add(array, 0x20)
            let to := mload(0x40)
            let size := shl(5, mload(array))

            // Runs of four: a network of five exchanges.
            let end := add(from, and(size, not(0x7f)))
            for { let p := from } lt(p, end) { p := add(p, 0x80) } {
                let a := mload(p)
                let b := mload(add(p, 0x20))
                let c := mload(add(p, 0x40))
                let d := mload(add(p, 0x60))
                let t := mul(xor(a, b), gt(a, b))
                a := xor(a, t)
                b := xor(b, t)
                t := mul(xor(c, d), gt(c, d))
                c := xor(c, t)
                d := xor(d, t)
                t := mul(xor(a, c), gt(a, c))
                mstore(p, xor(a, t))
                c := xor(c, t)
                t := mul(xor(b, d), gt(b, d))
                b := xor(b, t)
                mstore(add(p, 0x60), xor(d, t))
                t := mul(xor(b, c), gt(b, c))
                mstore(add(p, 0x20), xor(b, t))
                mstore(add(p, 0x40), xor(c, t))
            }
            // And one of what is left, by insertion.
            for { let p := end } lt(p, add(from, size)) { p := add(p, 0x20) } {
                let key := mload(p)
                let q := p
                for {} gt(q, end) {} {
                    let before := mload(sub(q, 0x20))
                    if iszero(gt(before, key)) { break }
                    mstore(q, before)
                    q := sub(q, 0x20)
                }
                mstore(q, key)
            }

            for { let run := 0x80 } lt(run, size) { run := shl(1, run) } {
                end := add(from, size)
                let k := to
                for { let i := from } lt(i, end) {} {
                    let middle := add(i, run)
                    if iszero(lt(middle, end)) {
                        mcopy(k, i, sub(end, i)) // the last run has no partner
                        break
                    }
                    let j := middle
                    let last := add(j, run)
                    if gt(last, end) { last := end }
                    let next := last
                    // Which of the two ends first is known from their last words: only that one's end is watched for.
                    if gt(mload(sub(middle, 0x20)), mload(sub(last, 0x20))) {
                        j := i
                        i := middle
                        last := middle
                        middle := next
                    }
                    let a := mload(i)
                    let b := mload(j)
                    for {} 1 {} {
                        if lt(b, a) {
                            mstore(k, b)
                            k := add(k, 0x20)
                            j := add(j, 0x20)
                            b := mload(j)
                            continue
                        }
                        mstore(k, a)
                        k := add(k, 0x20)
                        i := add(i, 0x20)
                        if eq(i, middle) { break }
                        a := mload(i)
                    }
                    let rest := sub(last, j)
                    mcopy(k, j, rest)
                    k := add(k, rest)
                    i := next
                }
                let t := from
                from := to
                to := t
            }
            if iszero(eq(from, add(array, 0x20))) { mcopy(add(array, 0x20), from, size) }
        }
    }
}

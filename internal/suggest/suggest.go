// Package suggest finds the word that somebody who mistyped probably meant. It
// knows nothing of where the words come from.
package suggest

import "strings"

// Nearest returns the known word closest to word, or "" when none is close
// enough to be a slip of the keyboard: one edit in short words, a third of the
// letters in longer ones. Letter case and the choice of - or _ do not count.
func Nearest(word string, known []string) string {
	best, bestDist := "", len(word)/3+1
	if len(word) < 3 {
		bestDist = 1
	}
	for _, k := range known {
		if d := distance(fold(word), fold(k)); d < bestDist || (d == bestDist && best == "") {
			best, bestDist = k, d
		}
	}
	return best
}

func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// distance is the number of insertions, deletions, substitutions and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}

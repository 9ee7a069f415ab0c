package config

import "strings"

// nearest returns the key or table that name was probably meant to be, or "".
// The part after the last dot may match alone: interval is near
// keepalive.interval. To be short for it counts as one slip.
func nearest(name string, keys []key) string {
	best, least := "", 3 // two slips of the finger are forgiven
	if len(name) > 64 {
		return best // no slip of the finger, and slow to compare
	}
	name = strings.ToLower(name)
	consider := func(candidate, meaning string) {
		d := distance(name, candidate)
		if shortFor(name, candidate) {
			d = min(d, 1)
		}
		// A short word is near to everything: half of it must be right.
		if d < least && 2*d < len(candidate) {
			best, least = meaning, d
		}
	}
	for _, k := range keys {
		consider(k.name, k.name)
		if table, last, dotted := strings.Cut(k.name, "."); dotted {
			consider(table, table)
			consider(last, k.name)
		}
	}
	return best
}

// shortFor says whether name is how one shortens word: with the same first
// letter, and no letter out of its order. So user is short for username, and
// iface for interface.
func shortFor(name, word string) bool {
	if len(name) < 2 || name[0] != word[0] {
		return false
	}
	for i := range len(name) {
		at := strings.IndexByte(word, name[i])
		if at < 0 {
			return false
		}
		word = word[at+1:]
	}
	return true
}

// distance counts the slips that turn a into b: a byte too many, too few or
// wrong, or two that changed places.
func distance(a, b string) int {
	// d[i][j] is the distance of a[:i] and b[:j].
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := d[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

//go:build race

package maildir

// slow is how much longer everything takes.
const slow = 4

package hooks

import "iter"

// Items yields what is in a slice: an answer for an application that has its messages
// at hand.
func Items(items []Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

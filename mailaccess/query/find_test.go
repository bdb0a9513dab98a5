package query

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// findAll looks for the needles in text, which comes in the pieces given.
func findAll(f *finder, pieces []string) []int {
	f.active = f.active[:0]
	for i := range f.needles {
		f.active = append(f.active, i)
	}
	f.begin()
	var hits []int
	for _, p := range pieces {
		hits = f.write(hits, []byte(p))
	}
	hits = f.end(hits)
	slices.Sort(hits)
	return hits
}

func needlesOf(texts ...string) []needle {
	var ns []needle
	for _, s := range texts {
		ns = append(ns, needle{text: []byte(UnicodeCasemap(s))})
	}
	return ns
}

func TestFinder(t *testing.T) {
	long := strings.Repeat("x", windowNew)
	tests := []struct {
		name   string
		needle string
		pieces []string
		want   bool
	}{
		{"whole", "lo W", []string{"hello world"}, true},
		{"absent", "low", []string{"hello world"}, false},
		{"at the beginning", "HELL", []string{"hello world"}, true},
		{"at the end", "RLD", []string{"hello world"}, true},
		{"across pieces", "hello", []string{"h", "", "el", "lo"}, true},
		{"rune across pieces", "\u00E9t\u00E9", []string{"\xc3", "\x89T\xc3", "\x89"}, true},
		{"astral rune across pieces", "\U00010400", []string{"\xf0", "\x90", "\x90", "\xa8"}, true},
		{"mark in the next piece", "\u00E9", []string{"e", "\u0301"}, true},
		{"letter without its mark", "cafe", []string{"caf\u00E9"}, true},
		{"mark that is not there", "caf\u00E9", []string{"cafe"}, false},
		{"half a rune, then ASCII", "ab", []string{"a\xc3", "b"}, false},
		{"half a rune, then ASCII, replaced", "a\uFFFDb", []string{"a\xc3", "b"}, true},
		{"half a rune, then another", "\uFFFD\u00E9", []string{"\xf0", "\xc3", "\xa9"}, true},
		{"half a rune at the end", "\uFFFD\uFFFD", []string{"a\xe2\x82"}, true},
		{"runes that share an entry of the cache", "\u04E9\u00E9", []string{"\u00E9\u04E9\u00E9"}, true},
		{"far beyond the window", "abc", []string{long, long, "a", "bc"}, true},
		{"as long as the window", long + "y", []string{"z", long, "Y"}, true},
		{"nearly that", long + "xy", []string{"z", long, "Y"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFinder(needlesOf(tt.needle))
			for range 2 { // nothing of the first text may be left
				if got := len(findAll(f, tt.pieces)) == 1; got != tt.want {
					t.Errorf("found: %v, want %v", got, tt.want)
				}
			}
		})
	}
}

// A needle is found wherever the end of a window falls on it, and whether it is
// the longest one or not.
func TestFinderWindows(t *testing.T) {
	f := newFinder(needlesOf("needle", "nee", "a longer needle"))
	size := cap(f.window)
	for _, windows := range []int{1, 2} {
		for off := -maxFold - 20; off < 20; off++ {
			n := windows*size - (windows-1)*f.overlap + off
			got := findAll(f, []string{strings.Repeat("x", n), "needle", "y"})
			if !slices.Equal(got, []int{0, 1}) {
				t.Fatalf("after %d octets: found %v", n, got)
			}
			got = findAll(f, []string{strings.Repeat("x", n) + "a longer needle"})
			if !slices.Equal(got, []int{0, 1, 2}) {
				t.Fatalf("after %d octets: found %v", n, got)
			}
		}
	}
}

// However the text is cut, exactly those needles are found that it contains.
func TestFinderAnyPieces(t *testing.T) {
	letters := rapid.SampledFrom([]rune("aAbB\u00E9e\u0301\uAC01\u1100\u01C4\uFDFA\U00010428 "))
	piece := rapid.StringOf(letters)
	rapid.Check(t, func(t *rapid.T) {
		text := piece.Draw(t, "text")
		if n := rapid.IntRange(-1, 80).Draw(t, "filler"); n >= 0 {
			text = strings.Repeat("x", windowNew-20+n) + text
		}
		texts := rapid.SliceOfN(rapid.StringOfN(letters, 1, 4, -1), 1, 5).Draw(t, "needles")
		var want []int
		for i, n := range texts {
			if strings.Contains(naiveCasemap(text), naiveCasemap(n)) {
				want = append(want, i)
			}
		}
		var pieces []string
		rest := text[max(0, len(text)-50):]
		pieces = append(pieces, text[:len(text)-len(rest)])
		for rest != "" {
			n := rapid.IntRange(1, min(len(rest), 7)).Draw(t, "n")
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if got := findAll(newFinder(needlesOf(texts...)), pieces); !slices.Equal(got, want) {
			t.Fatalf("found %v, want %v", got, want)
		}
	})
}

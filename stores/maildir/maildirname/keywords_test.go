package maildirname

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

var errBroken = errors.New("broken")

func readKeywords(t *testing.T, file string) Keywords {
	t.Helper()
	k, _, err := ReadKeywords(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func words(t *testing.T, words ...string) mailaccess.Keywords {
	t.Helper()
	k, err := mailaccess.NewKeywords(words...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestReadKeywords(t *testing.T) {
	for _, tt := range []struct {
		file    string
		want    map[int]string
		skipped int
	}{
		{"", nil, 0},
		{"0 $Junk\n1 $NonJunk\n", map[int]string{0: "$Junk", 1: "$NonJunk"}, 0},
		{"1 $NonJunk\n25 Z", map[int]string{1: "$NonJunk", 25: "Z"}, 0},
		{"0 a\n26 b\n-1 c\nx d\n1\n\n2 \n1x e\n3 f\n", map[int]string{0: "a", 3: "f"}, 7},
		{"0 a\n0 b\n", map[int]string{0: "a"}, 1},
		{"0 " + strings.Repeat("a", 2000) + "\n1 b\n", map[int]string{1: "b"}, 1},
		{"0 a b\n1 Wörter\n2 ok\n", map[int]string{2: "ok"}, 0}, // no keywords, but their letters are taken
	} {
		k, skipped, err := ReadKeywords(strings.NewReader(tt.file))
		if err != nil || skipped != tt.skipped {
			t.Errorf("%q: %d skipped, %v", tt.file, skipped, err)
		}
		for n := -1; n <= MaxLetters; n++ {
			if word, ok := k.Keyword(n); word != tt.want[n] || ok != (word != "") {
				t.Errorf("%q: letter %d is %q, %v; want %q", tt.file, n, word, ok, tt.want[n])
			}
		}
	}
	if _, _, err := ReadKeywords(io.MultiReader(strings.NewReader("0 a\n"), iotest.ErrReader(errBroken))); !errors.Is(err, errBroken) {
		t.Errorf("broken file: %v", err)
	}
}

// What is no keyword stays in the file, since files have its letter.
func TestKeywordsKeepLines(t *testing.T) {
	const file = "0 a b\n1 $Junk\n25 Wörter\n"
	if got := string(readKeywords(t, file).Append(nil)); got != file {
		t.Errorf("%q was written as %q", file, got)
	}
}

func TestKeywordsAdd(t *testing.T) {
	k := readKeywords(t, "0 two words\n1 $Junk\n")
	for _, word := range []string{"$junk", "$Forwarded", "Work", "Later", "WORK"} {
		if !k.Add(word, 1<<3) {
			t.Fatalf("%s has no letter", word)
		}
	}
	if k.Add("no keyword", 0) {
		t.Error("what is no keyword has a letter")
	}
	if got, want := string(k.Append(nil)), "0 two words\n1 $Junk\n2 $Forwarded\n4 Work\n5 Later\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for n := 4; n <= 24; n++ { // with 0, 1, 2, 4 and 5 that is all but two letters
		if word := fmt.Sprint("k", n); !k.Add(word, 1<<3) && n < 24 {
			t.Fatalf("%s has no letter", word)
		}
	}
	if k.Add("last", 1<<3) {
		t.Error("a letter that files have was given")
	}
	if !k.Add("last", 0) || k.Add("overflow", 0) || !k.Add("Last", 0) {
		t.Error("the 26th letter was not the last")
	}
	l, without := k.Letters(mailaccess.Flags{System: seen, Keywords: words(t, "Overflow", "LAST", "work")})
	if l != (Letters{System: seen, Keywords: 1<<3 | 1<<4}) || without != words(t, "Overflow") {
		t.Errorf("letters %+v, without %v", l, without)
	}
}

func TestKeywordsFlags(t *testing.T) {
	k := readKeywords(t, "0 $Junk\n1 two words\n3 $forwarded\n")
	for _, tt := range []struct {
		letters Letters
		want    mailaccess.Flags
		unknown uint32
		back    Letters
	}{
		{Letters{}, mailaccess.Flags{}, 0, Letters{}},
		{Letters{System: draft}, mailaccess.Flags{System: draft}, 0, Letters{System: draft}},
		{Letters{Passed: true}, mailaccess.Flags{Keywords: words(t, "$Forwarded")}, 0, Letters{Passed: true, Keywords: 1 << 3}},
		{Letters{Keywords: 1 << 3}, mailaccess.Flags{Keywords: words(t, "$forwarded")}, 0, Letters{Passed: true, Keywords: 1 << 3}},
		{Letters{seen, true, 1<<0 | 1<<3}, mailaccess.Flags{System: seen, Keywords: words(t, "$Forwarded", "$Junk")}, 0, Letters{seen, true, 1<<0 | 1<<3}},
		{Letters{Keywords: 1<<0 | 1<<1 | 1<<2}, mailaccess.Flags{Keywords: words(t, "$Junk")}, 1<<1 | 1<<2, Letters{Keywords: 1 << 0}},
	} {
		flags, unknown := k.Flags(tt.letters)
		if flags != tt.want || unknown != tt.unknown {
			t.Errorf("%+v: %v %v, unknown %b", tt.letters, flags.System, flags.Keywords, unknown)
		}
		if back, without := k.Letters(flags); back != tt.back || !without.IsEmpty() {
			t.Errorf("%+v and back: %+v, without %v", tt.letters, back, without)
		}
	}
}

// Keywords that have letters are the same after a way through a file's name.
func TestKeywordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[$A-Za-z][A-Za-z0-9]{0,5}`)
		list := rapid.SliceOfN(word, 0, 30).Draw(t, "words")
		var k Keywords
		var lettered []string
		for _, w := range list {
			if k.Add(w, 0) {
				lettered = append(lettered, w)
			}
		}
		again, skipped, err := ReadKeywords(bytes.NewReader(k.Append(nil)))
		if again != k || skipped != 0 || err != nil {
			t.Fatalf("%q was read as %+v, %d skipped, %v", k.Append(nil), again, skipped, err)
		}
		set, err := mailaccess.NewKeywords(list...)
		if err != nil {
			t.Fatal(err)
		}
		l, without := k.Letters(mailaccess.Flags{Keywords: set})
		m, _ := ParseMessage("a")
		m, _ = ParseMessage(m.WithFlags(l))
		flags, unknown := k.Flags(m.Flags)
		if unknown != 0 {
			t.Fatalf("%b means nothing", unknown)
		}
		for _, w := range list {
			if flags.Keywords.Has(w) == without.Has(w) {
				t.Fatalf("%s: in the name: %v, apart: %v", w, flags.Keywords.Has(w), without.Has(w))
			}
		}
		for _, w := range lettered {
			if !flags.Keywords.Has(w) {
				t.Fatalf("%s was lost", w)
			}
		}
	})
}

func FuzzReadKeywords(f *testing.F) {
	f.Add([]byte("0 $Junk\n1 a b\n26 x\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		k, skipped, err := ReadKeywords(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(file, []byte("\n")) + 1; skipped > n {
			t.Fatalf("%d of %d lines skipped", skipped, n)
		}
		again, skipped, err := ReadKeywords(bytes.NewReader(k.Append(nil)))
		if again != k || skipped != 0 || err != nil {
			t.Fatalf("%q as %q: %+v, %d skipped, %v", file, k.Append(nil), again, skipped, err)
		}
		flags, unknown := k.Flags(Letters{Keywords: 1<<MaxLetters - 1})
		if flags.Keywords.Len() > MaxLetters-bitsSet(unknown) {
			t.Fatalf("%v of the letters but %b", flags.Keywords, unknown)
		}
	})
}

func bitsSet(mask uint32) (n int) {
	for ; mask != 0; mask &= mask - 1 {
		n++
	}
	return n
}

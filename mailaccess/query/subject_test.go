package query

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// RFC 5256, section 2.1.
func TestBaseSubject(t *testing.T) {
	for _, tt := range []struct {
		in, base string
		reply    bool
	}{
		{"", "", false},
		{"hello", "hello", false},
		{"  a \t b  c ", "a b c", false},
		{"Re: hello", "hello", true},
		{"re:hello", "hello", true},
		{"RE : hello", "hello", true},
		{"fw: hello", "hello", true},
		{"FWD: hello", "hello", true},
		{"Re: Fwd: re: hello", "hello", true},
		{"Re[2]: hello", "hello", true},
		{"Re [2] : hello", "hello", true},
		{"[list] hello", "hello", false},
		{"[list][other] hello", "hello", false},
		{"[list] Re: hello", "hello", true},
		{"Re: [list] hello", "hello", true},
		{"Re: [list] Re: [other] hello", "hello", true},
		{"[list]", "[list]", false},
		{"[a] [b]", "[b]", false},
		{"Re: [list]", "[list]", true},
		{"[list] Re:", "", true},
		{"[a [b] c", "[a [b] c", false},
		{"[a] b] c", "b] c", false},
		{"hello (fwd)", "hello", true},
		{"hello (FWD) (fwd) ", "hello", true},
		{"(fwd)", "", true},
		{"hello(fwd)", "hello", true},
		{"hello (fwd", "hello (fwd", false},
		{"[Fwd: hello]", "hello", true},
		{"[fwd: Re: hello (fwd)]", "hello", true},
		{"[fwd: [fwd: [list] hello]]", "hello", true},
		{"Re: [fwd: hello] (fwd)", "hello", true},
		{"[fwd: hello] more", "more", false},
		{"[list] [fwd: hello]", "hello", true},
		{"[fwd:]", "", true},
		{"[fwd:", "[fwd:", false},
		{"re", "re", false},
		{"re hello", "re hello", false},
		{"refwd: hello", "refwd: hello", false},
		{"AW: hello", "AW: hello", false}, // section 7: no translations
		{"re[a]b: c", "re[a]b: c", false},
		{"[\x00] hello", "[\x00] hello", false},
		{"Re: \xff", "\xff", true},
		{"Re: Grüße", "Grüße", true},
	} {
		if base, reply := BaseSubject(tt.in); base != tt.base || reply != tt.reply {
			t.Errorf("BaseSubject(%q) = %q, %v, want %q, %v", tt.in, base, reply, tt.base, tt.reply)
		}
	}
}

// naiveBaseSubject is RFC 5256, section 2.1, step by step, with the formal syntax of
// section 5 written as regular expressions.
func naiveBaseSubject(s string) (string, bool) {
	const (
		blob  = `\[[^\[\]\x00]*\][ \t]*`
		refwd = `(?:re|fwd|fw)[ \t]*(?:` + blob + `)?:`
	)
	var (
		trailer  = regexp.MustCompile(`(?is)(?:\(fwd\)|[ \t])$`)
		leader   = regexp.MustCompile(`(?is)^(?:(?:` + blob + `)*` + refwd + `|[ \t])`)
		blobs    = regexp.MustCompile(`(?is)^` + blob)
		forward  = regexp.MustCompile(`(?is)^\[fwd:(.*)\]$`)
		replaced = regexp.MustCompile(` +`)
	)
	reply := false
	s = replaced.ReplaceAllString(strings.ReplaceAll(s, "\t", " "), " ")
	for {
		for m := trailer.FindString(s); m != ""; m = trailer.FindString(s) {
			s = s[:len(s)-len(m)]
			reply = reply || m != " "
		}
		for {
			if m := leader.FindString(s); m != "" {
				s = s[len(m):]
				reply = reply || m != " "
			} else if m := blobs.FindString(s); m != "" && m != s {
				s = s[len(m):]
			} else {
				break
			}
		}
		m := forward.FindStringSubmatch(s)
		if m == nil {
			return s, reply
		}
		s, reply = m[1], true
	}
}

func TestBaseSubjectIsTheNaiveOne(t *testing.T) {
	words := []string{"re", "Fw", "fwd", "[", "]", "[fwd:", "(fwd)", ":", " ", "\t", "[x]", "hello", "(", ")", "[]", "é", "\x00"}
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 14).Draw(t, "words"), "")
		base, reply := BaseSubject(s)
		wantBase, wantReply := naiveBaseSubject(s)
		if base != wantBase || reply != wantReply {
			t.Fatalf("BaseSubject(%q) = %q, %v, want %q, %v", s, base, reply, wantBase, wantReply)
		}
	})
}

// What takes time by the square of its length would take minutes.
func TestBaseSubjectIsLinear(t *testing.T) {
	const n = 1 << 18
	for _, s := range []string{"[a]", "re:", "[a]re:", "(fwd)", " ", "[", "]", "re [", "[fwd:", "\t ", "re[x]", "[fwd:[a]", "[a] [fwd: "} {
		BaseSubject(strings.Repeat(s, n/len(s)))
		BaseSubject(strings.Repeat(s, n/len(s)) + strings.Repeat("]", n/len(s)))
		BaseSubject(strings.Repeat("[fwd:", n/5) + strings.Repeat(s, n/len(s)) + strings.Repeat("]", n/5))
	}
}

func FuzzBaseSubject(f *testing.F) {
	for _, s := range []string{"Re: [list] hello (fwd)", "[fwd: [fwd: x]]", "[a][b]", "re [x] : y", "[fwd:]", "\xff re:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		base, reply := BaseSubject(s)
		if wantBase, wantReply := naiveBaseSubject(s); base != wantBase || reply != wantReply {
			t.Fatalf("BaseSubject(%q) = %q, %v, want %q, %v", s, base, reply, wantBase, wantReply)
		}
		if again, reply := BaseSubject(base); again != base || reply {
			t.Fatalf("the base subject of %q is %q, whose base subject is %q, %v", s, base, again, reply)
		}
	})
}

package maildirname

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

const (
	draft    = mailaccess.FlagDraft
	flagged  = mailaccess.FlagFlagged
	answered = mailaccess.FlagAnswered
	seen     = mailaccess.FlagSeen
	deleted  = mailaccess.FlagDeleted
)

func TestParseMessage(t *testing.T) {
	for _, tt := range []struct {
		name       string
		base       string
		size, wire int64
		flags      Letters
		hasInfo    bool
	}{
		{"1276528487.M364837P9451.kurkku,S=1355,W=1394:2,", "1276528487.M364837P9451.kurkku,S=1355,W=1394", 1355, 1394, Letters{}, true},
		{"1276533073.M242911P3632.kurkku:2,F", "1276533073.M242911P3632.kurkku", -1, -1, Letters{System: flagged}, true},
		{"1035478339.27041_118.foo.org,S=1000,W=1030", "1035478339.27041_118.foo.org,S=1000,W=1030", 1000, 1030, Letters{}, false},
		{"a:2,DFPRSTaz", "a", -1, -1, Letters{draft | flagged | answered | seen | deleted, true, 1 | 1<<25}, true},
		{"a:2,TSSTb", "a", -1, -1, Letters{System: seen | deleted, Keywords: 2}, true}, // in any order
		{"a:2,SXÄ!", "a", -1, -1, Letters{System: seen}, true},
		{"a:2,S,Fx", "a", -1, -1, Letters{System: seen}, true}, // another field
		{"a:1,exp", "a:1,exp", -1, -1, Letters{}, false},
		{"a:1,exp:2,S", "a:1,exp", -1, -1, Letters{System: seen}, true},
		{"a:2,F:2,S", "a", -1, -1, Letters{System: flagged}, true},
		{"a;2,S", "a;2,S", -1, -1, Letters{}, false},
		{"a!2,S", "a!2,S", -1, -1, Letters{}, false},
		{"a:2", "a:2", -1, -1, Letters{}, false},
		{"a,W=5,X=1,S=4:2,", "a,W=5,X=1,S=4", 4, 5, Letters{}, true},
		{"a,S=4,S=5:2,", "a,S=4,S=5", 4, -1, Letters{}, true},
		{"a,S=,S=-1,S=4x,S=5:2,", "a,S=,S=-1,S=4x,S=5", 5, -1, Letters{}, true},
		{"a,S=99999999999999999999", "a,S=99999999999999999999", -1, -1, Letters{}, false},
		{"S=4,W=5", "S=4,W=5", -1, 5, Letters{}, false}, // what comes first is no field
		{"a,S=0:2,", "a,S=0", 0, -1, Letters{}, true},
		{"\xff\x00:2,S", "\xff\x00", -1, -1, Letters{System: seen}, true},
	} {
		m, ok := ParseMessage(tt.name)
		if !ok || m.Base != tt.base || m.Size != tt.size || m.Wire != tt.wire || m.Flags != tt.flags || m.HasInfo() != tt.hasInfo {
			t.Errorf("%q: %+v, %v", tt.name, m, ok)
		}
	}
	for _, name := range []string{"", ".", "..", ".nfs0001", ":2,S", ".a:2,S"} {
		if m, ok := ParseMessage(name); ok || m != (Message{}) {
			t.Errorf("%q is a message: %+v", name, m)
		}
	}
}

func TestWithFlags(t *testing.T) {
	all := Letters{draft | flagged | answered | seen | deleted, true, 1<<26 - 1}
	for _, tt := range []struct {
		name  string
		flags Letters
		want  string
	}{
		{"a,S=1", Letters{}, "a,S=1:2,"},
		{"a", all, "a:2,DFPRSTabcdefghijklmnopqrstuvwxyz"},
		{"a:2,DFPRSTab", Letters{}, "a:2,"},
		{"a:2,SZ", Letters{System: flagged, Keywords: 1}, "a:2,FZa"}, // Z is not ours
		{"a:2,ÄZCA", Letters{System: draft}, "a:2,ACDZ\u00c4"},
		{"a:2,S,more,SF", Letters{System: flagged}, "a:2,F,more,SF"},
		{"a:2,,SF", Letters{System: flagged}, "a:2,F,SF"},
		{"a:1,exp", Letters{System: flagged}, "a:1,exp:2,F"},
		{"a:2,F:2,S", Letters{System: seen}, "a:2,2:S,S"},
		{"a:2,", Letters{Keywords: 1 << 30}, "a:2,"}, // there is no such letter
	} {
		m, _ := ParseMessage(tt.name)
		if got := m.WithFlags(tt.flags); got != tt.want {
			t.Errorf("%q with %+v: %q, want %q", tt.name, tt.flags, got, tt.want)
		}
	}
}

func TestParseMessageAllocates(t *testing.T) {
	name := "1276528487.M364837P9451.kurkku,S=1355,W=1394:2,DFPRSTabz,more"
	if n := testing.AllocsPerRun(100, func() { ParseMessage(name) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func letters() *rapid.Generator[Letters] {
	return rapid.Custom(func(t *rapid.T) Letters {
		return Letters{
			mailaccess.SystemFlags(rapid.Uint8Range(0, uint8(mailaccess.SystemFlagsAll)).Draw(t, "system")),
			rapid.Bool().Draw(t, "passed"),
			rapid.Uint32Range(0, 1<<26-1).Draw(t, "keywords"),
		}
	})
}

// others are the letters in a name that mean nothing, in the order of ASCII, then
// what is above ASCII.
func others(m Message) string {
	flags, _, _ := strings.Cut(m.info, ",")
	kept := slices.DeleteFunc([]byte(flags), func(c byte) bool { return new(Letters).add(c) })
	slices.SortStableFunc(kept, compareASCII)
	return string(kept)
}

// compareASCII leaves octets above ASCII where they are, at the end.
func compareASCII(a, b byte) int { return int(min(a, 0x80)) - int(min(b, 0x80)) }

// checkWithFlags: the flags are those given, and nothing else changes.
func checkWithFlags(t interface{ Fatalf(string, ...any) }, m Message, flags Letters) {
	name := m.WithFlags(flags)
	got, ok := ParseMessage(name)
	if !ok || got.Base != m.Base || got.Flags != flags || got.Size != m.Size || got.Wire != m.Wire || others(got) != others(m) {
		t.Fatalf("%+v with %+v is %q: %+v, %v", m, flags, name, got, ok)
	}
	part, fields, _ := strings.Cut(got.info, ",")
	if _, before, _ := strings.Cut(m.info, ","); fields != before {
		t.Fatalf("%+v with %+v is %q: other fields changed", m, flags, name)
	}
	if !slices.IsSortedFunc([]byte(part), compareASCII) {
		t.Fatalf("%q: the flags are not in the order of ASCII", name)
	}
	if again := got.WithFlags(flags); again != name {
		t.Fatalf("%q, and once more %q", name, again)
	}
}

func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unique := rapid.StringOfN(rapid.RuneFrom([]rune("a1.;2S=")), 1, 8, -1).Draw(t, "unique")
		size, wire := rapid.Int64Range(-1, 1e12).Draw(t, "size"), rapid.Int64Range(-1, 1e12).Draw(t, "wire")
		base := WithSizes("1."+unique, size, wire)
		m, ok := ParseMessage(base)
		if !ok || m.Base != base || m.Size != size || m.Wire != wire {
			t.Fatalf("%q: %+v, %v", base, m, ok)
		}
		checkWithFlags(t, m, letters().Draw(t, "flags"))
	})
}

func FuzzParseMessage(f *testing.F) {
	for _, s := range []string{"a:2,S", "a,S=1,W=2:2,DFPRSTaz,x", ":2,", ".a", "a:1,x:2,:2,", "a:2,ZA:2", "\xff:2,\xff"} {
		f.Add([]byte(s), uint8(3), uint32(5), true)
	}
	f.Fuzz(func(t *testing.T, name []byte, system uint8, keywords uint32, passed bool) {
		m, ok := ParseMessage(string(name))
		if !ok {
			return
		}
		if again, ok := ParseMessage(m.Base); !ok || again.Base != m.Base || again.HasInfo() {
			t.Fatalf("%q: %+v, whose base is %+v", name, m, again)
		}
		if !strings.HasPrefix(string(name), m.Base) || m.Base == "" || m.Size < -1 || m.Wire < -1 {
			t.Fatalf("%q: %+v", name, m)
		}
		checkWithFlags(t, m, m.Flags)
		checkWithFlags(t, m, Letters{mailaccess.SystemFlags(system) & mailaccess.SystemFlagsAll, passed, keywords & (1<<MaxLetters - 1)})
	})
}

func TestGenerator(t *testing.T) {
	clock := func() time.Time { return time.Unix(1276528487, 364_837_999) }
	for host, want := range map[string]string{
		"mail.example.org":            "1276528487.M364837P9451Q1.mail.example.org",
		"":                            "1276528487.M364837P9451Q1.localhost",
		"a/b:c":                       `1276528487.M364837P9451Q1.a\057b\072c`,
		`a,S=1\`:                      `1276528487.M364837P9451Q1.a\054S=1\134`,
		"é \n":                        `1276528487.M364837P9451Q1.\303\251\040\012`,
		strings.Repeat("x", 98) + "/": "1276528487.M364837P9451Q1." + strings.Repeat("x", 98), // no half escape
	} {
		g := NewGenerator(host, 9451, clock)
		got := g.Next()
		if got != want {
			t.Errorf("host %q: %q, want %q", host, got, want)
		}
		base := WithSizes(got, 1355, 1394)
		if m, ok := ParseMessage(base + ":2,"); !ok || m.Base != base || m.Size != 1355 || m.Wire != 1394 {
			t.Errorf("%q: %+v, %v", base, m, ok)
		}
	}
	if got := WithSizes("a", -1, 5); got != "a,W=5" {
		t.Errorf("without a size: %q", got)
	}
	if got := WithSizes("a", 0, -1); got != "a,S=0" {
		t.Errorf("without a wire size: %q", got)
	}
}

// At one instant, from many goroutines.
func TestGeneratorUnique(t *testing.T) {
	now := time.Unix(1, 0)
	g := NewGenerator("host", os.Getpid(), func() time.Time { return now })
	names := make([][]string, 4)
	var wg sync.WaitGroup
	for i := range names {
		wg.Go(func() {
			for range 1000 {
				names[i] = append(names[i], g.Next())
			}
		})
	}
	wg.Wait()
	all := slices.Concat(names...)
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 4000 {
		t.Errorf("%d of 4000 names are different", n)
	}
}

// Whatever the host: a component of a path, with room for sizes and flags.
func FuzzGenerator(f *testing.F) {
	f.Add("mail.example.org", 1)
	f.Add("/../:2,S", -1)
	f.Fuzz(func(t *testing.T, host string, pid int) {
		g := NewGenerator(host, pid, func() time.Time { return time.Unix(1<<40, 0) })
		unique := g.Next()
		m, ok := ParseMessage(WithSizes(unique, 1<<60, 1<<60))
		if !ok || m.HasInfo() || m.Size != 1<<60 || m.Wire != 1<<60 || strings.ContainsAny(unique, "/:,\x00\n") {
			t.Fatalf("host %q: %q, %+v", host, unique, m)
		}
		if name := m.WithFlags(Letters{mailaccess.SystemFlagsAll, true, 1<<26 - 1}); len(name) > 255 {
			t.Fatalf("%q has %d octets", name, len(name))
		}
	})
}

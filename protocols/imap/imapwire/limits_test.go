package imapwire

import (
	"errors"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	readList := func(r *Reader) error { _, err := readWords(r); return err }
	readSet := func(r *Reader) error { return r.ReadNumSet(new(NumSet)) }
	readFlags := func(r *Reader) error { _, err := r.ReadStoreFlags(nil); return err }
	readString := func(r *Reader) error { _, err := r.ReadAString(); return err }
	readLine := func(r *Reader) error { _, err := r.ReadLine(); return err }
	readSection := func(r *Reader) error { return r.ReadSection(new(Section)) }
	for _, tt := range []struct {
		name     string
		limits   Limits
		kind     LimitKind
		read     func(*Reader) error
		good, in string
	}{
		{"depth", Limits{Depth: 3}, LimitDepth, readList, "(((a) (b)) ((c)))", "((((a))))"},
		{"items", Limits{ListItems: 3}, LimitListItems, readList, "(a (b))", "(a (b) c)"},
		{"flags", Limits{ListItems: 3}, LimitListItems, readFlags, "a b c", "a b c d"},
		{"set", Limits{SetElements: 3}, LimitSetElements, readSet, "1,2:3,*", "1,1,1,1"},
		{"section", Limits{Depth: 3}, LimitDepth, readSection, "[1.1.1.TEXT]", "[1.1.1.1]"},
		{"atom", Limits{Line: 10}, LimitLine, readString, "12345678", "123456789"},
		{"quoted", Limits{Line: 10}, LimitLine, readString, `"123456"`, `"1234567"`},
		{"escaped", Limits{Line: 10}, LimitLine, readString, `"1234\""`, `"12345\""`},
		{"quote never closed", Limits{Line: 10}, LimitLine, readString, `""`, `"` + strings.Repeat("x", 10000)},
		{"huge atom", Limits{Line: 5000}, LimitLine, readString, strings.Repeat("x", 4998), strings.Repeat("x", 100000)},
		{"header of a literal", Limits{Line: 10}, LimitLine, readString, "{0001+}\r\nx", "{00000001+}\r\nx"},
		{"line", Limits{Line: 10}, LimitLine, readLine, "12345678", "123456789"},
		{"endless line", Limits{Line: 10}, LimitLine, readLine, "\x00 \r", strings.Repeat("x ", 20000)},
		{"one octet", Limits{Line: 10}, LimitLine, readSet, "1,2,3,44", "1,2,3,4,*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, in := range []string{tt.good, tt.in} {
				for _, end := range []string{"\r\n", "\n"} {
					r := NewReader(strings.NewReader("a "+in+end+"t NOOP\r\n"), &ReaderOptions{Limits: tt.limits})
					r.ended = false
					r.consume2(t)
					err := tt.read(r)
					var le *LimitError
					switch {
					case in == tt.good && err != nil:
						t.Errorf("below the limit: %v", err)
					case in == tt.in && (!errors.As(err, &le) || le.Kind != tt.kind || !InStep(err)):
						t.Errorf("above the limit: %v", err)
					}
					expectNoop(t, r)
				}
			}
		})
	}
}

// consume2 consumes "a ".
func (r *Reader) consume2(t *testing.T) {
	t.Helper()
	if _, err := r.ReadAtom(); err != nil {
		t.Fatal(err)
	}
	if err := r.SP(); err != nil {
		t.Fatal(err)
	}
}

// Limits count anew for each command.
func TestLimitsStartAgain(t *testing.T) {
	in := "a X ((b) c) 1,2 {3+}\r\nabc\r\n"
	limits := Limits{Line: 20, Literal: 3, Command: 24, Depth: 2, ListItems: 3, SetElements: 2}
	r := NewReader(strings.NewReader(strings.Repeat(in, 100)), &ReaderOptions{Limits: limits})
	for range 100 {
		start(t, r)
		if _, err := readWords(r); err != nil {
			t.Fatal(err)
		}
		if err := r.SP(); err != nil {
			t.Fatal(err)
		}
		if err := r.ReadNumSet(new(NumSet)); err != nil {
			t.Fatal(err)
		}
		if err := r.SP(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ReadAString(); err != nil {
			t.Fatal(err)
		}
		if err := r.CRLF(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSetLimits(t *testing.T) {
	r := NewReader(strings.NewReader("a (((x)))\r\n"), &ReaderOptions{Limits: Limits{Depth: 2}})
	r.SetLimits(Limits{Depth: 3})
	r.consume2(t)
	if _, err := readWords(r); err != nil {
		t.Error(err)
	}
}

func TestEnter(t *testing.T) {
	r := NewReader(strings.NewReader("((x))\r\n"), &ReaderOptions{Limits: Limits{Depth: 3}})
	for range 2 {
		if err := r.Enter(); err != nil {
			t.Fatal(err)
		}
	}
	r.Leave()
	if _, err := readWords(r); err != nil {
		t.Errorf("two more levels: %v", err)
	}
}

// Hold is called once for each long command, before it is kept; what it refuses is skipped.
func TestHold(t *testing.T) {
	const x = 7000
	refused := errors.New("refused")
	for _, tt := range []struct {
		name    string
		command string
		long    bool
	}{
		{"short", "a SEARCH " + strings.Repeat("x", x), false},
		{"word", "a SEARCH " + strings.Repeat("x", 2*x), true},
		{"many words", "a SEARCH" + strings.Repeat(" ALL", x), true},
		{"literal", "a SEARCH {14000+}\r\n" + strings.Repeat("x", 2*x), true},
		{"literals", "a SEARCH" + strings.Repeat(" {7000+}\r\n"+strings.Repeat("x", x), 3), true},
	} {
		for _, err := range []error{nil, refused} {
			held := 0
			r := NewReader(strings.NewReader(strings.Repeat(tt.command+"\r\n", 2)+"t NOOP\r\n"), &ReaderOptions{
				Limits: Limits{Line: -1},
				Hold:   func() error { held++; return err },
			})
			for range 2 {
				if _, _, err := r.Command(); err != nil {
					t.Fatal(err)
				}
				var got error
				for more := true; more && got == nil; {
					if more, got = r.Accept(' '); more && got == nil {
						_, got = r.ReadAString()
					}
				}
				if refuses := tt.long && err != nil; errors.Is(got, refused) != refuses {
					t.Errorf("%s: reading ended with %v", tt.name, got)
				}
			}
			if want := map[bool]int{true: 2}[tt.long]; held != want {
				t.Errorf("%s: Hold was called %d times, want %d", tt.name, held, want)
			}
			if tag, _, err := r.Command(); err != nil || string(tag) != "t" {
				t.Errorf("%s: out of step: %q, %v", tt.name, tag, err)
			}
		}
	}
}

package imapwire

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tight are limits that short inputs reach.
var tight = Limits{Line: 100, Literal: 20, NonSync: 60, Command: 150, Depth: 3, ListItems: 8, SetElements: 4}

// order is the productions in an order that does not change.
var order = slices.Sorted(maps.Keys(productions))

// readAnything reads one command: its name chooses what the arguments are, "X"
// anything that their first octet allows. It renders what it reads.
func readAnything(r *Reader, out *strings.Builder) error {
	tag, name, err := r.Command()
	fmt.Fprintf(out, "%q %q", tag, name)
	if err != nil {
		return err
	}
	read := readArgument
	if i, err := strconv.Atoi(strings.TrimPrefix(string(name), "X")); err == nil && 0 <= i && i < len(order) {
		read = productions[order[i]]
	}
	for {
		if r.ended { // by a production that reads lines
			return nil
		}
		end, err := r.AtEnd()
		if err != nil {
			return err
		}
		if end {
			return r.CRLF()
		}
		if err := r.SP(); err != nil {
			return err
		}
		v, err := read(r)
		fmt.Fprintf(out, " %#v", v)
		if err != nil {
			return err
		}
	}
}

func readArgument(r *Reader) (any, error) {
	c, err := r.Peek()
	if err != nil {
		return nil, err
	}
	switch c {
	case '(':
		var all []any
		err := r.ReadList(func() error {
			v, err := readArgument(r)
			all = append(all, v)
			return err
		})
		return all, err
	case '"', '{':
		return r.ReadAString()
	case '~':
		return productions["stream"](r)
	case '\\':
		return r.ReadFlag()
	case '*', '$', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return productions["set"](r)
	}
	b, err := r.ReadItemName()
	if err != nil {
		return nil, err
	}
	name := string(b)
	if c, err = r.Peek(); err != nil || c != '[' {
		return name, err
	}
	s, err := productions["section"](r)
	return fmt.Sprint(name, s), err
}

// A transcript is how reading a whole stream went.
type transcript struct {
	text     string
	ends     []int        // where each command ended, in octets of the stream
	accepted map[int]bool // where literals that were asked for begin
	err      error        // what ended it
}

func transcribe(in string, src func(io.Reader) io.Reader, utf8ok bool) transcript {
	stream := strings.NewReader(in)
	tr := transcript{accepted: make(map[int]bool)}
	var r *Reader
	// All that src has taken from stream and r has not consumed is in r: src
	// has no buffer.
	at := func() int { return len(in) - stream.Len() - r.Buffered() }
	r = NewReader(src(stream), &ReaderOptions{Limits: tight, Continue: func() error {
		tr.accepted[at()] = true
		return nil
	}})
	r.SetUTF8(utf8ok)
	var out strings.Builder
	for {
		err := readAnything(r, &out)
		fmt.Fprintf(&out, " %v\n", err)
		if err == nil || InStep(err) {
			err = r.Skip()
		}
		if err != nil {
			tr.text, tr.err = out.String(), err
			return tr
		}
		tr.ends = append(tr.ends, at())
	}
}

var header = regexp.MustCompile(`\{([0-9]+)(\+?)\}\r?\n$`)

// commandEnd finds the end of the command that begins at from, without regard
// to its grammar: lines joined by the literals at their ends (RFC 7888, section
// 3), if these are non-synchronizing or were asked for. It returns -1 when the
// stream ends before, and big when a literal is larger than Limits.Drain.
func commandEnd(in string, from int, accepted map[int]bool) (end int, big bool) {
	for {
		i := strings.IndexByte(in[from:], '\n')
		if i < 0 {
			return -1, false
		}
		line := in[from : from+i+1]
		from += i + 1
		m := header.FindStringSubmatch(line)
		if m == nil || m[2] == "" && !accepted[from] {
			return from, false
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || n > 64<<20 {
			return -1, true
		}
		if int64(len(in)-from) < n {
			return -1, false
		}
		from += int(n)
	}
}

// checkStep checks that every command of the stream ended where it ends.
func checkStep(t interface{ Fatalf(string, ...any) }, in string, tr transcript) {
	from, big := 0, false
	for i, got := range tr.ends {
		if from, big = commandEnd(in, from, tr.accepted); from != got || big {
			t.Fatalf("%q: command %d ended at %d, not %d\n%s", in, i, got, from, tr.text)
		}
	}
	var le *LimitError
	switch next, big := commandEnd(in, from, tr.accepted); {
	case errors.As(tr.err, &le) && le.MustClose() && big:
	case tr.err == io.EOF && from == len(in):
	case tr.err == io.ErrUnexpectedEOF && from < len(in) && next < 0:
	default:
		t.Fatalf("%q: after %d: %v\n%s", in, from, tr.err, tr.text)
	}
}

// pieces are what commands are made of, well-formed or not.
var pieces = []string{
	" ", " ", " ", " ", "(", ")", "\r\n", "\r\n", "\n", "\r", "\x00", "\\", "\"", "[", "]", "<", ">", ".", ",", ":", "*", "$",
	"a", "NIL", "FETCH", "INBOX", "DONE", "flags", "\\Seen", "\\*", "1", "0", "4294967296", "1:*", "1,2:3,*", "%", "+", "~",
	`"quoted"`, `"esc\"aped\\"`, `"open`, "\xe9", `"日"`, "&ZeU-", "&Jjo", "=", "AGE=", "1-Feb-1994", `"17-Jul-1996 02:44:25 -0700"`,
	"BODY[1.HEADER.FIELDS (From)]<0.5>", "BODY[]", "(a (b) c)", "((((a))))", "(1 2 3 4 5 6 7 8 9)", strings.Repeat("x", 90), strings.Repeat("y", 300),
	"{3}\r\nabc", "{3+}\r\nabc", "~{3}\r\na\x00c", "~{3+}\r\nabc", "{3}\r\n", "{0}\r\n", "{0+}\n", "{5+}\r\n\r\n\r\na", "{30+}\r\n" + strings.Repeat("z", 30),
	"{90+}\r\n" + strings.Repeat("t N\r\n", 18), "{30}\r\n", "{21}\n", "{x+}\r\n", "{-1}\r\n", "{3+}", "{3+} \r\n", "{3", "{99999999999999999999+}\r\n",
}

func commands() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var in strings.Builder
		for range rapid.IntRange(1, 3).Draw(t, "commands") {
			in.WriteString(rapid.SampledFrom([]string{"a ", "tag1 ", "", "+", strings.Repeat("t", 140) + " "}).Draw(t, "tag"))
			in.WriteString(rapid.OneOf(rapid.Just("X"), rapid.Map(rapid.IntRange(0, len(order)-1), func(i int) string {
				return "X" + strconv.Itoa(i)
			})).Draw(t, "name"))
			for range rapid.IntRange(0, 6).Draw(t, "pieces") {
				in.WriteString(rapid.SampledFrom([]string{" ", " ", " ", ""}).Draw(t, "space"))
				in.WriteString(rapid.SampledFrom(pieces).Draw(t, "piece"))
			}
			in.WriteString(rapid.SampledFrom([]string{"\r\n", "\r\n", "\r\n", "\n", ""}).Draw(t, "end"))
		}
		return in.String()
	})
}

// However the stream comes in pieces, what is read of it is the same: values,
// errors, positions, and where commands end.
func TestSplitReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := commands().Draw(t, "in")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 50), 1, 20).Draw(t, "sizes")
		utf8ok := rapid.Bool().Draw(t, "utf8")
		whole := transcribe(in, func(r io.Reader) io.Reader { return r }, utf8ok)
		split := transcribe(in, func(r io.Reader) io.Reader { return &chunks{r: r, sizes: sizes} }, utf8ok)
		if whole.text != split.text || !slices.Equal(whole.ends, split.ends) || fmt.Sprint(whole.err) != fmt.Sprint(split.err) {
			t.Fatalf("%q, whole:\n%s%v %v\nin pieces:\n%s%v %v", in, whole.text, whole.ends, whole.err, split.text, split.ends, split.err)
		}
		checkStep(t, in, whole)
	})
}

// chunks gives as many octets per Read as sizes say, over and over.
type chunks struct {
	r     io.Reader
	sizes []int
	i     int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := c.sizes[c.i%len(c.sizes)]
	c.i++
	return c.r.Read(p[:min(n, len(p))])
}

// Whatever comes in, each command ends where its lines and literals say, so
// that the command that follows is read right.
func FuzzReader(f *testing.F) {
	for i := range order {
		f.Add("a X"+strconv.Itoa(i)+" 1:*,7 (a b) \"x\" {3+}\r\nabc\r\n", byte(7), false)
	}
	for _, p := range pieces {
		f.Add("a X "+p+" (x "+p+")\r\nb NOOP\r\n", byte(1), true)
	}
	f.Fuzz(func(t *testing.T, in string, size byte, utf8ok bool) {
		whole := transcribe(in, func(r io.Reader) io.Reader { return r }, utf8ok)
		checkStep(t, in, whole)
		split := transcribe(in, func(r io.Reader) io.Reader { return &chunks{r: r, sizes: []int{int(size) + 1}} }, utf8ok)
		if whole.text != split.text {
			t.Fatalf("%q, whole:\n%s\nin pieces:\n%s", in, whole.text, split.text)
		}
		if len(whole.ends) == 0 {
			return
		}
		// A good command after the first one.
		first := in[:whole.ends[0]]
		r := NewReader(strings.NewReader(first+"t NOOP\r\n"), &ReaderOptions{Limits: tight})
		r.SetUTF8(utf8ok)
		if err := readAnything(r, new(strings.Builder)); err != nil && !InStep(err) {
			t.Fatalf("%q: %v", first, err)
		}
		if err := r.Skip(); err != nil {
			t.Fatalf("%q: %v", first, err)
		}
		if tag, name, err := r.Command(); string(tag) != "t" || string(name) != "NOOP" || err != nil {
			t.Fatalf("%q: then %q %q %v", first, tag, name, err)
		}
	})
}

package prototest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// response is a line of the server: text, then as often as there are literals a
// literal and text again.
type response struct {
	texts    [][]byte
	literals [][]byte
}

// mismatch tells that the server said something else.
type mismatch struct {
	line int // of the script
	want []string
	got  string
	why  string // when it is not plain to see
}

func (m *mismatch) Error() string {
	var b strings.Builder
	b.WriteString("not what is expected")
	if m.why != "" {
		b.WriteString(": " + m.why)
	}
	for _, w := range m.want {
		b.WriteString("\n    want " + w)
	}
	b.WriteString("\n    got  " + m.got)
	return b.String()
}

// listener reads what one step expects of a connection.
type listener struct {
	c        *conn
	deadline <-chan time.Time
	literals bool
	forbid   []*pattern
	vars     map[string]string
	log      *dialogue
}

// read takes the next response, and fails when it must not come.
func (l *listener) read() (*response, error) {
	r := new(response)
	for {
		text, err := l.c.in.line(l.deadline)
		if err != nil {
			if rest := l.c.in.unread(); isEnd(err) && len(rest) > 0 {
				err = fmt.Errorf("the connection ends within the line %s", show(rest))
			} else if len(r.texts) > 0 {
				err = fmt.Errorf("after the literal of this line: %w", err)
			}
			return nil, err
		}
		l.log.add(l.c.number, "S", text)
		r.texts = append(r.texts, text)
		size, ok := announced(text)
		if !l.literals || !ok {
			break
		}
		data, err := l.c.in.bytes(size, l.deadline)
		if err != nil {
			return nil, fmt.Errorf("a literal of %d bytes is announced: %w", size, err)
		}
		l.log.add(l.c.number, "S|", data)
		r.literals = append(r.literals, data)
	}
	for _, pt := range l.forbid {
		if pt.match(r.texts[0], maps.Clone(l.vars)) {
			return nil, fmt.Errorf("this must not come: %s", show(r.texts[0]))
		}
	}
	return r, nil
}

// announced returns the size of the literal that a line announces at its end
// (RFC 3501, section 4.3; the server's has no plus).
func announced(line []byte) (int, bool) {
	rest, ok := bytes.CutSuffix(line, []byte("}"))
	if !ok {
		return 0, false
	}
	i := bytes.LastIndexByte(rest, '{')
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(rest[i+1:]), 10, 31)
	return int(n), err == nil
}

// missing describes that nothing came where something was expected.
func (l *listener) missing(err error, want ...*expectation) error {
	m := &mismatch{line: want[0].line, got: fmt.Sprintf("nothing: %v", err)}
	if isEnd(err) {
		m.got = "the end of the connection"
	}
	for _, e := range want {
		m.want = append(m.want, e.describe(l.vars))
	}
	return m
}

// next reads one response, which must be what is expected.
func (l *listener) next(e *expectation) error {
	r, err := l.read()
	if e.eof {
		return l.ended(e, r, err)
	}
	if err != nil {
		return l.missing(err, e)
	}
	vars, m := e.match(r, l.vars)
	if m != nil {
		return m
	}
	maps.Copy(l.vars, vars)
	return nil
}

// ended checks that a read came to the end of the connection.
func (l *listener) ended(e *expectation, r *response, err error) error {
	switch {
	case err == nil:
		return &mismatch{line: e.line, want: []string{e.src}, got: "S: " + show(r.texts[0])}
	case !isEnd(err):
		return l.missing(err, e)
	}
	l.log.add(l.c.number, "S", []byte("<eof>"))
	l.c.close()
	return nil
}

// skipTo reads responses until one is what is expected.
func (l *listener) skipTo(e *expectation) error {
	for range maxSkip {
		r, err := l.read()
		if e.eof && err != nil {
			return l.ended(e, nil, err)
		}
		if err != nil {
			return l.missing(err, e)
		}
		if e.eof {
			continue
		}
		if vars, m := e.match(r, l.vars); m == nil {
			maps.Copy(l.vars, vars)
			return nil
		}
	}
	return l.missing(fmt.Errorf("%d lines were others", maxSkip), e)
}

// exactly reads bytes, which must be these.
func (l *listener) exactly(want []byte) error {
	got, err := l.c.in.bytes(len(want), l.deadline)
	if err != nil {
		got = l.c.in.unread()
		if !bytes.HasPrefix(want, got) {
			return differ(want, got)
		}
		return fmt.Errorf("want %d bytes, %d came: %w", len(want), len(got), err)
	}
	l.log.add(l.c.number, "S+", got)
	if !bytes.Equal(want, got) {
		return differ(want, got)
	}
	return nil
}

// differ describes where bytes differ.
func differ(want, got []byte) error {
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	if i == len(want) {
		return &mismatch{want: []string{"an end after " + strconv.Itoa(i) + " bytes"}, got: show(got[i:])}
	}
	if i == len(got) {
		return &mismatch{want: []string{show(want[i:])}, got: "an end after " + strconv.Itoa(i) + " bytes"}
	}
	return &mismatch{
		why:  fmt.Sprintf("bytes differ from the one at %d on", i),
		want: []string{show(want[i:])},
		got:  show(got[i:]),
	}
}

// anyOrder reads as many responses as are expected and pairs them, whatever their
// order. It fails at the first response with which no pairing is possible.
func (l *listener) anyOrder(want []*expectation) error {
	fits := make([][]map[string]string, 0, len(want)) // response, expectation: what it keeps
	of := make([]int, len(want))                      // the response of an expectation, or -1
	for i := range of {
		of[i] = -1
	}
	// place finds an expectation for a response; those that are taken move on if
	// they can (the augmenting paths of bipartite matching).
	var place func(r int, tried []bool) bool
	place = func(r int, tried []bool) bool {
		for i := range want {
			if fits[r][i] == nil || tried[i] {
				continue
			}
			tried[i] = true
			if of[i] < 0 || place(of[i], tried) {
				of[i] = r
				return true
			}
		}
		return false
	}
	for n := range want {
		r, err := l.read()
		if err != nil {
			return l.missing(err, unpaired(want, of)...)
		}
		row := make([]map[string]string, len(want))
		var nearest *mismatch
		for i, e := range want {
			var m *mismatch
			if row[i], m = e.match(r, l.vars); m != nil && m.why != "" && of[i] < 0 {
				nearest = m
			}
		}
		fits = append(fits, row)
		if !place(n, make([]bool, len(want))) {
			if nearest != nil {
				return nearest // the text is as expected, its literal is not
			}
			m := &mismatch{line: want[0].line, got: "S: " + show(r.texts[0]), why: "none of those not seen yet"}
			for _, e := range unpaired(want, of) {
				m.want = append(m.want, e.describe(l.vars))
			}
			return m
		}
	}
	for i := range want {
		maps.Copy(l.vars, fits[of[i]][i])
	}
	return nil
}

func unpaired(want []*expectation, of []int) []*expectation {
	var rest []*expectation
	for i, e := range want {
		if of[i] < 0 {
			rest = append(rest, e)
		}
	}
	return rest
}

// match compares a response with what is expected and returns what it keeps
// (never nil when it matches).
func (e *expectation) match(r *response, vars map[string]string) (map[string]string, *mismatch) {
	all := maps.Clone(vars)
	bad := func(part int, why string) *mismatch {
		m := &mismatch{line: e.line, want: []string{e.describe(vars)}, got: "S: " + show(r.texts[part]), why: why}
		if part > 0 {
			m.want = []string{fmt.Sprintf("what goes on after literal %d of %s", part, e.describe(vars))}
		}
		return m
	}
	for i, pt := range e.texts {
		if i == len(r.texts) {
			return nil, bad(i-1, "it announces no literal")
		}
		if !pt.match(r.texts[i], all) {
			why := ""
			if i > 0 {
				why = "the line after a literal"
			}
			return nil, bad(i, why)
		}
		if i < len(e.literals) && i < len(r.literals) {
			if err := matchLiteral(e.literals[i], r.literals[i], all); err != nil {
				m := bad(i, fmt.Sprintf("in the literal of %d bytes", len(r.literals[i])))
				var inner *mismatch
				if errors.As(err, &inner) {
					m.want, m.got, m.line = inner.want, inner.got, max(m.line, inner.line)
					if inner.why != "" {
						m.why += ", " + inner.why
					}
				}
				return nil, m
			}
		}
	}
	if len(r.literals) > len(e.literals) {
		return nil, bad(len(e.literals), fmt.Sprintf("it announces a literal of %d bytes, and no S| line says what that is",
			len(r.literals[len(e.literals)])))
	}
	kept := make(map[string]string)
	for name, value := range all {
		if _, before := vars[name]; !before {
			kept[name] = value
		}
	}
	return kept, nil
}

// matchLiteral compares the content of a literal.
func matchLiteral(chunks []chunk, data []byte, vars map[string]string) error {
	for _, c := range chunks {
		bad := func(got []byte) error {
			return &mismatch{line: c.line, want: []string{c.src}, got: show(got)}
		}
		switch c.kind {
		case chunkBytes:
			want := c.pt.expand(vars)
			if !bytes.HasPrefix(data, want) {
				err := differ(want, data)
				var m *mismatch
				if errors.As(err, &m) {
					m.line = c.line
				}
				return err
			}
			data = data[len(want):]
		case chunkLine:
			line, rest, ok := bytes.Cut(data, []byte("\r\n"))
			if !ok || !c.pt.match(line, vars) {
				return bad(data)
			}
			data = rest
		case chunkRest:
			if !c.pt.match(data, vars) {
				return bad(data)
			}
			data = nil
		}
	}
	if len(data) > 0 {
		return &mismatch{line: chunks[len(chunks)-1].line, want: []string{"the end of the literal"}, got: show(data)}
	}
	return nil
}

// describe writes an expectation for people, with what was kept.
func (e *expectation) describe(vars map[string]string) string {
	s := e.src
	var with []string
	for _, pt := range e.texts {
		for _, seg := range pt.segments {
			if seg.kind == segVar {
				with = append(with, fmt.Sprintf("%s is %s", seg.name, show([]byte(vars[seg.name]))))
			}
		}
	}
	if with != nil {
		s += "   (" + strings.Join(with, ", ") + ")"
	}
	return s
}

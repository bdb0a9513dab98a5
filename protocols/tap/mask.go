package tap

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// masks know what varies between two servers, and under which name a transcript keeps it.
type masks struct {
	names  map[string]string // by kind and value
	values map[string]string // the name, by the value alone: as clients repeat it
	counts map[string]int    // by kind
}

func newMasks() masks {
	return masks{make(map[string]string), make(map[string]string), make(map[string]int)}
}

// A varying is what varies in a response: the expression has it as its only group.
type varying struct {
	kind    string // begins the name under which it is kept; empty: it is passed over
	in      *regexp.Regexp
	pattern string // what it may be
}

const (
	number = `[0-9]+`
	id     = `[A-Za-z0-9_-]+`
	quoted = `[^"]*`
)

// varyings returns what varies in responses to a command.
func varyings(s Syntax, command string) []varying {
	if s == POP3 {
		all := []varying{{"stamp", regexp.MustCompile(`^\+OK .*(<[^ <>]+@[^ <>]+>)`), `<[^ <>]+>`}}
		switch command {
		case "UIDL":
			all = append(all, varying{"uid", regexp.MustCompile(`^(?:\+OK )?[0-9]+ ([!-~]+)$`), `[!-~]+`})
		case "CAPA": // RFC 2449, section 6.9: what follows the name is the version
			all = append(all, varying{"", regexp.MustCompile(`^IMPLEMENTATION mailaccess-([!-~]+)$`), `[!-~]+`})
		}
		return all
	}
	return []varying{
		{"validity", regexp.MustCompile(`\bUIDVALIDITY ([0-9]+)`), number},
		// RFC 4315, section 3.
		{"validity", regexp.MustCompile(`\[(?:APPENDUID|COPYUID) ([0-9]+) `), number},
		// RFC 7162, section 7.
		{"modseq", regexp.MustCompile(`\b(?:HIGHESTMODSEQ|MODSEQ) \(?([0-9]+)`), number},
		// RFC 8474, section 7.
		{"id", regexp.MustCompile(`\b(?:MAILBOXID|EMAILID|THREADID) \(([A-Za-z0-9_-]+)\)`), id},
		{"", regexp.MustCompile(`\bSAVEDATE "([^"]+)"`), quoted},
		{"", regexp.MustCompile(`\bINTERNALDATE "([^"]+)"`), quoted},
		{"", regexp.MustCompile(`^\* ID \(.*"version" "([^"]*)"`), quoted},
	}
}

// response returns what writes the lines of one response to a command, masked.
func (m *masks) response(s Syntax, command string, begun time.Time) func(line string) string {
	all := varyings(s, command)
	fresh := make(map[string]bool) // kept by this response: not known before its end
	return func(line string) string {
		if !plain(line) {
			return unprintable(line)
		}
		return m.line(line, all, fresh, begun)
	}
}

// A span is a part of a line, and what stands for it.
type span struct {
	from, to int
	text     string
}

func (m *masks) line(line string, all []varying, fresh map[string]bool, begun time.Time) string {
	var spans []span
	for _, v := range all {
		for _, at := range v.in.FindAllStringSubmatchIndex(line, -1) {
			value := line[at[2]:at[3]]
			if v.kind == "" && !recent(value, begun) {
				continue
			}
			spans = insert(spans, span{at[2], at[3], m.pattern(v, value, fresh)})
		}
	}
	var b strings.Builder
	at := 0
	for _, s := range spans {
		b.WriteString(escapedPart(line[at:s.from]))
		b.WriteString(s.text)
		at = s.to
	}
	b.WriteString(escapedPart(line[at:]))
	text := b.String()
	if text == "<eof>" {
		text = `{{"<"}}eof>`
	}
	return text
}

// pattern returns what stands for a value.
func (m *masks) pattern(v varying, value string, fresh map[string]bool) string {
	key := v.kind + " " + value
	name, known := m.names[key]
	switch {
	case v.kind == "" || fresh[key]:
		return "{{" + v.pattern + "}}"
	case known:
		return "{{$" + name + "}}"
	}
	m.counts[v.kind]++
	name = v.kind + strconv.Itoa(m.counts[v.kind])
	m.names[key], m.values[value] = name, name
	fresh[key] = true
	return fmt.Sprintf("{{%s=%s}}", name, v.pattern)
}

// insert keeps spans in order, without those that lie in another.
func insert(spans []span, s span) []span {
	i := len(spans)
	for i > 0 && spans[i-1].from > s.from {
		i--
	}
	if i > 0 && spans[i-1].to > s.from || i < len(spans) && s.to > spans[i].from {
		return spans
	}
	spans = append(spans, span{})
	copy(spans[i+1:], spans[i:])
	spans[i] = s
	return spans
}

// recent reports whether a date is of the recording, and anything that is no date.
func recent(value string, begun time.Time) bool {
	date, err := time.Parse("_2-Jan-2006 15:04:05 -0700", value)
	return err != nil || !date.Before(begun.Add(-time.Minute))
}

var word = regexp.MustCompile(`[A-Za-z0-9_-]{6,}`)

// client writes a line of a command, with what was kept in the place of what the server
// has told.
func (m *masks) client(line string) string {
	var b strings.Builder
	at := 0
	for _, w := range word.FindAllStringIndex(line, -1) {
		name, known := m.values[line[w[0]:w[1]]]
		if !known {
			continue
		}
		b.WriteString(escapedPart(line[at:w[0]]))
		b.WriteString("{{$" + name + "}}")
		at = w[1]
	}
	if at == 0 {
		return escaped(line)
	}
	b.WriteString(escapedPart(line[at:]))
	return b.String()
}

// escapedPart writes part of a line so that nothing in it is a pattern. A brace at its
// end would be taken for a pattern's with the one that may follow.
func escapedPart(text string) string {
	text = strings.ReplaceAll(text, "{{", `{{"{{"}}`)
	if rest, ok := strings.CutSuffix(text, "{"); ok && !strings.HasSuffix(text, `{{"{{"}}`) {
		text = rest + `{{"{"}}`
	}
	return text
}

// unprintable writes a line that is not plain text.
func unprintable(line string) string { return "{{" + strconv.Quote(line) + "}}" }

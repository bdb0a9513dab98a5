package maildir

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// oracle is what was acknowledged, by the name of the account: what has to be there
// whatever failed meanwhile.
type oracle map[string]*oracleAccount

type oracleAccount struct {
	boxes map[string][]oracleMessage // ascending by UID
	subs  map[string]bool
}

type oracleMessage struct {
	uid   mailaccess.UID // 0: not known yet
	text  string         // see oracleMail
	flags mailaccess.Flags
}

func (o oracle) clone() oracle {
	c := make(oracle, len(o))
	for name, a := range o {
		n := &oracleAccount{boxes: make(map[string][]oracleMessage, len(a.boxes)), subs: maps.Clone(a.subs)}
		for box, messages := range a.boxes {
			n.boxes[box] = slices.Clone(messages)
		}
		c[name] = n
	}
	return c
}

// index returns where a message is in a mailbox.
func (a *oracleAccount) index(box, text string) int {
	i := slices.IndexFunc(a.boxes[box], func(m oracleMessage) bool { return m.text == text })
	if i < 0 {
		panic(fmt.Sprintf("the workload names %s, which is not in %s", text, box))
	}
	return i
}

func (a *oracleAccount) take(box, text string) oracleMessage {
	i := a.index(box, text)
	m := a.boxes[box][i]
	a.boxes[box] = slices.Delete(a.boxes[box], i, i+1)
	return m
}

func (a *oracleAccount) add(box, text string, flags mailaccess.Flags) {
	a.boxes[box] = append(a.boxes[box], oracleMessage{text: text, flags: flags})
}

func (a *oracleAccount) rename(from, to string) {
	for _, box := range slices.Sorted(maps.Keys(a.boxes)) {
		if rest, below := strings.CutPrefix(box, from+"/"); below || box == from {
			name := to
			if below {
				name += "/" + rest
			}
			a.boxes[name] = a.boxes[box]
			delete(a.boxes, box)
		}
	}
}

// differs tells in what have is not what o wants; "" if in nothing. UIDs that o does not
// know may be any.
func (o oracle) differs(have oracle) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(o)) {
		want, got := o[name], have[name]
		if got == nil {
			fmt.Fprintf(&b, "no account %s\n", name)
			continue
		}
		for _, box := range slices.Sorted(maps.Keys(got.boxes)) {
			if _, ok := want.boxes[box]; !ok {
				fmt.Fprintf(&b, "%s has a mailbox %s with %v\n", name, box, got.boxes[box])
			}
		}
		for _, box := range slices.Sorted(maps.Keys(want.boxes)) {
			messages, ok := got.boxes[box]
			if !ok {
				fmt.Fprintf(&b, "%s has no mailbox %s\n", name, box)
				continue
			}
			same := slices.EqualFunc(want.boxes[box], messages, func(w, g oracleMessage) bool {
				return w.text == g.text && sameFlags(w.flags, g.flags) && (w.uid == 0 || w.uid == g.uid)
			})
			if !same {
				fmt.Fprintf(&b, "%s %s:\n  want %v\n  have %v\n", name, box, want.boxes[box], messages)
			}
		}
		if !maps.Equal(want.subs, got.subs) {
			fmt.Fprintf(&b, "%s is subscribed to %v, want %v\n", name, got.subs, want.subs)
		}
	}
	return b.String()
}

func sameFlags(a, b mailaccess.Flags) bool {
	return a.System == b.System && a.Keywords.Minus(b.Keywords).IsEmpty() && b.Keywords.Minus(a.Keywords).IsEmpty()
}

func (m oracleMessage) String() string {
	return fmt.Sprintf("%d:%s[%d %s]", m.uid, m.text, m.flags.System, m.flags.Keywords)
}

// oracleMail is the message of that name, in canonical form.
func oracleMail(text string) string {
	return "Message-Id: <" + text + "@example.org>\r\nSubject: " + text + "\r\n\r\n" + strings.Repeat(text+" and more of it\r\n", 3+len(text))
}

// textOf returns the name of a message, or what is wrong with it.
func textOf(content string) string {
	_, rest, _ := strings.Cut(content, "Subject: ")
	text, _, _ := strings.Cut(rest, "\r\n")
	if oracleMail(text) == content {
		return text
	}
	return fmt.Sprintf("damaged %.60q, %d octets", content, len(content))
}

//go:build interop

package interop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// nodePOP3 goes a round with a POP3 client of npm's, whose directory of testdata is named.
// They look for the end of an answer at the end of what they read at once, so that the
// messages are small ones.
func nodePOP3(dir string, s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		node, round := d.node(t, dir, "round.js")
		before := raws(d.overIMAP(t, "INBOX"))
		mails := slices.DeleteFunc(letters(dir, 12), func(m []byte) bool {
			return len(m) > 1000 || strings.Contains(string(m), "every octet")
		})
		d.put(t, "INBOX", mails)
		how, addr := "tls", d.pop3s
		if s == plain {
			how, addr = "plain", d.pop3
		}
		args := []string{round, how, port(addr), d.cert, strconv.Itoa(len(before))}
		for i, m := range mails {
			args = append(args, node.write(t, fmt.Sprintf("mail-%03d", i), m))
		}
		if out := node.run(t, args...); !strings.HasSuffix(out, "round complete\n") {
			t.Errorf("the round was not completed: %s", out)
		}
		d.sameOverBoth(t, slices.Concat(before, mails[1:]))
	}
}

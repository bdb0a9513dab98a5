package hooks_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// resyncing is a client that keeps of each mailbox what it was told, by UID, and is told
// by QRESYNC what has changed since (RFC 7162, section 3.2.5), however long ago that was.
type resyncing struct {
	w    *world
	conn net.Conn
	r    *bufio.Reader
	kept map[string]*replica // by name
	now  *replica            // of the mailbox that is selected
}

// replica is a mailbox as a client knows it.
type replica struct {
	validity, modSeq string
	exists           int
	flags            map[string][]string // by UID
	bodies           map[string][]byte
}

var (
	existing = regexp.MustCompile(`^\* (\d+) EXISTS\r\n$`)
	vanished = regexp.MustCompile(`^\* VANISHED (?:\(EARLIER\) )?([0-9:,]+)\r\n$`)
	highest  = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
)

func (c *resyncing) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn, c.now = nil, nil
	}
}

func (c *resyncing) connect() error {
	near, far := net.Pipe()
	go c.w.server.IMAP.ServeConn(far)
	c.conn, c.r = near, bufio.NewReader(near)
	if _, err := c.r.ReadString('\n'); err != nil {
		return err
	}
	if err := c.say("LOGIN " + ann + " secret"); err != nil {
		return err
	}
	return c.say("ENABLE QRESYNC")
}

// say says a command and takes in what comes up to its answer.
func (c *resyncing) say(command string) error {
	if _, err := fmt.Fprintf(c.conn, "t %s\r\n", command); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		if c.now != nil {
			if err := c.take(line); err != nil {
				return fmt.Errorf("%s: %w", command, err)
			}
		}
		if answer, ok := strings.CutPrefix(line, "t "); ok {
			if !strings.HasPrefix(answer, "OK") {
				return fmt.Errorf("%s: %s", command, answer)
			}
			return nil
		}
	}
}

func (c *resyncing) take(line string) error {
	if m := highest.FindStringSubmatch(line); m != nil {
		c.now.modSeq = m[1]
	}
	if m := existing.FindStringSubmatch(line); m != nil {
		c.now.exists, _ = strconv.Atoi(m[1])
	} else if m := vanished.FindStringSubmatch(line); m != nil {
		earlier := strings.Contains(line, "(EARLIER)")
		for part := range strings.SplitSeq(m[1], ",") {
			first, last, isRange := strings.Cut(part, ":")
			if !isRange {
				last = first
			}
			a, _ := strconv.Atoi(first)
			b, _ := strconv.Atoi(last)
			for uid := range c.now.flags {
				if n, _ := strconv.Atoi(uid); n >= a && n <= b {
					delete(c.now.flags, uid)
				}
			}
			if !earlier {
				c.now.exists -= b - a + 1
			}
		}
	} else if fetched.MatchString(line) {
		uid := uidItem.FindStringSubmatch(line)
		if uid == nil {
			return fmt.Errorf("no UID in %s", line)
		}
		if f := flagItem.FindStringSubmatch(line); f != nil {
			c.now.flags[uid[1]] = strings.Fields(f[1])
		}
		if l := literal.FindStringSubmatch(line); l != nil {
			size, _ := strconv.Atoi(l[1])
			body := make([]byte, size)
			if _, err := io.ReadFull(c.r, body); err != nil {
				return err
			}
			if _, err := c.r.ReadString('\n'); err != nil {
				return err
			}
			c.now.bodies[uid[1]] = body
		}
	}
	return nil
}

// settle selects some mailboxes, each as of when it was last selected, and compares it with
// the application's.
func (c *resyncing) settle() error {
	if rapid.Bool().Draw(c.w.t, "resync on a new connection") {
		c.hangUp()
	}
	if c.conn != nil && c.say("UNSELECT") != nil {
		c.hangUp() // nothing was selected, or what was is deleted
	}
	if c.conn == nil {
		if err := c.connect(); err != nil {
			return err
		}
	}
	for _, box := range c.w.app.Mailboxes(ann) {
		if rapid.IntRange(0, 2).Draw(c.w.t, "resync "+box) == 0 {
			continue // it has more to catch up the next time
		}
		if err := c.resync(box); err != nil {
			return fmt.Errorf("resync of %s: %w", box, err)
		}
	}
	return nil
}

func (c *resyncing) resync(box string) error {
	name := `"` + strings.ReplaceAll(box, "Ü", "&ANw-") + `"`
	was := c.kept[box]
	if was == nil {
		was = &replica{validity: "1", modSeq: "1"}
	}
	status, err := c.validity(name) // of the same mailbox?
	if err != nil {
		return err
	}
	now := &replica{flags: make(map[string][]string), bodies: make(map[string][]byte)}
	c.now = now
	if now.validity = status; was.validity == status {
		now.flags, now.bodies = was.flags, was.bodies
	} else {
		was.validity, was.modSeq = status, "1"
	}
	if err := c.say(fmt.Sprintf("SELECT %s (QRESYNC (%s %s))", name, was.validity, was.modSeq)); err != nil {
		return err
	}
	if c.kept == nil {
		c.kept = make(map[string]*replica)
	}
	c.kept[box] = now
	if len(now.flags) != now.exists {
		return fmt.Errorf("%d messages are known of %d", len(now.flags), now.exists)
	}
	if !c.w.style.Revisions && !c.w.style.Whole {
		// Only whoever reads learns of other bytes, and then by a new message.
		for range 2 {
			if now.exists > 0 {
				_ = c.say("UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
			}
			if err := c.say("NOOP"); err != nil {
				return err
			}
		}
		if now.exists > 0 {
			if err := c.say("UID FETCH 1:* (UID FLAGS)"); err != nil {
				return err
			}
		}
	}
	var got []string
	for uid := range now.flags {
		if _, read := now.bodies[uid]; !read {
			if err := c.say("UID FETCH " + uid + " (UID BODY.PEEK[])"); err != nil {
				return err
			}
		}
		got = append(got, describe(now.flags[uid], now.bodies[uid]))
	}
	slices.Sort(got)
	if want := c.w.truth(box); !slices.Equal(got, want) {
		return fmt.Errorf("has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return nil
}

// validity asks for the UIDVALIDITY of a mailbox.
func (c *resyncing) validity(name string) (string, error) {
	if _, err := fmt.Fprintf(c.conn, "t STATUS %s (UIDVALIDITY)\r\n", name); err != nil {
		return "", err
	}
	value := ""
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if m := statusItem.FindStringSubmatch(line); m != nil {
			value = m[1]
		}
		if answer, ok := strings.CutPrefix(line, "t "); ok {
			if !strings.HasPrefix(answer, "OK") || value == "" {
				return "", fmt.Errorf("STATUS: %s", answer)
			}
			return value, nil
		}
	}
}

var statusItem = regexp.MustCompile(`^\* STATUS .* \(UIDVALIDITY (\d+)\)\r\n$`)

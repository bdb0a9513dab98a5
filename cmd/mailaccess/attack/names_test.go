//go:build linux

package attack

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// pathNames are names of mailboxes, or of users, that would lead somewhere else as paths.
// ROOT stands for the directory of the user's Maildir.
var pathNames = []string{
	"..", ".", "../outside", "../ann", "../../outside", "a/../../outside", "a/../../../../outside", "/etc", "/ROOT/../outside", "./../outside", ".../outside",
	"..\\outside", "%2e%2e/outside", "%2e%2e%2foutside", "&AC4ALg-/outside", "..%00", "\x00", "a\x00/../outside", "\xc0\xae\xc0\xae/outside", "․․/outside", "．．／outside",
	"cur", "new", "tmp", "cur/..", ".cur", "a.b/../..", "a/.", "a/..", "a//b", "//", "/", " ..", ".. ", "-rf", "~", "~root", "$HOME", "`id`", "mailaccess", ".mailaccess",
	strings.Repeat("../", 300) + "etc/passwd", strings.Repeat("a", 300), strings.Repeat("a/", 400) + "a", "con", "a:2,S", "dovecot-uidlist", "maildirfolder",
}

// TestNamesAreNoPaths: whatever mailboxes are called, nothing is made, read or removed but
// below their account's directory, and the store's own.
func TestNamesAreNoPaths(t *testing.T) {
	t.Parallel()
	ctx := within(t, patience)
	s := serve(t)
	must(t, s.deliver("ann", 2))
	must(t, s.deliver("mallory", 1))
	// What somebody would like to reach: another user's Maildir, and ones beside the store.
	must(t, os.MkdirAll(filepath.Join(s.dir, "store", "outside", "cur"), 0o700))
	for _, sub := range []string{"new", "cur", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(s.root, "outside", sub), 0o700))
	}
	secretFile := filepath.Join(s.root, "outside", "cur", "1.a.b:2,")
	must(t, os.WriteFile(secretFile, []byte("Subject: hidden treasure\r\n\r\n"), 0o600))
	c, err := s.session(ctx, "mallory", false)
	must(t, err)
	defer c.close()
	before := s.tree(t, "mallory")
	for _, utf8 := range []bool{false, true} {
		if utf8 {
			must(t, c.oks("ENABLE UTF8=ACCEPT"))
		}
		for _, name := range pathNames {
			name = strings.ReplaceAll(name, "ROOT", filepath.Join(s.root, "mallory"))
			literal := fmt.Sprintf("{%d+}\r\n%s", len(name), name)
			for _, command := range []string{
				"CREATE %s", "SUBSCRIBE %s", "STATUS %s (MESSAGES)", "LIST \"\" %s", "LIST %s *", "SELECT INBOX", "COPY 1 %s", "APPEND %s {1+}\r\nx",
				"RENAME %s renamed", "RENAME renamed %s", "SELECT %s", "FETCH 1:* BODY.PEEK[]", "CLOSE", "DELETE %s", "UNSUBSCRIBE %s",
			} {
				if strings.Contains(command, "%s") {
					command = fmt.Sprintf(command, literal)
				}
				c.tags++
				tag := fmt.Sprintf("t%d ", c.tags)
				must(t, c.say(tag, command, "\r\n"))
				for answered := false; !answered; {
					line, err := c.line()
					must(t, err)
					for _, hidden := range []string{"treasure", "root:x:", "Subject: message 1"} {
						if strings.Contains(line, hidden) {
							t.Errorf("%q showed %q", command, line)
						}
					}
					if strings.HasPrefix(line, "* BYE") {
						t.Fatalf("%q was answered with %q", command, line)
					}
					answered = strings.HasPrefix(line, tag)
				}
			}
		}
	}
	must(t, s.stop())
	if diff := difference(before, s.tree(t, "mallory")); diff != "" {
		t.Errorf("beyond the account's directory:%s", diff)
	}
}

// TestUsersAreNoPaths: nor do users get anywhere by what they are called.
func TestUsersAreNoPaths(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"/%u", "/%d/%n"} {
		ctx := within(t, patience)
		var file strings.Builder
		names := slices.Concat(pathNames, []string{"bob@example.org", "../outside@example.org", "x@..", "x@../..", "..@..", "a/b@c/d", "x@/etc", "@..", "..@"})
		for _, name := range names {
			// Some can be nobody's: they try all the same.
			one := filepath.Join(t.TempDir(), "users")
			line := name + ":{PLAIN}secret\n"
			must(t, os.WriteFile(one, []byte(line), 0o600))
			if _, err := auth.OpenUsersFile(one, nil); err == nil && !strings.Contains(name, "\x00") {
				file.WriteString(line)
			}
		}
		s := serveAs(t, file.String(), pattern)
		before := s.tree(t, "")
		in := 0
		for _, name := range names {
			c, err := s.greeted(ctx, false)
			must(t, err)
			must(t, c.say(
				"a AUTHENTICATE PLAIN ", base64.StdEncoding.EncodeToString([]byte(name+"\x00"+name+"\x00"+password)), "\r\n",
				"a AUTHENTICATE PLAIN ", base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00"+password)), "\r\n",
				fmt.Sprintf("a LOGIN {%d+}\r\n%s %s\r\n", len(name), name, password),
				"b CREATE x\r\nc APPEND INBOX {1+}\r\nx\r\nd LOGOUT\r\n"))
			line, err := c.until("c OK", "d OK", "* BYE")
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			if strings.HasPrefix(line, "c OK") {
				in++
			}
			c.close()
		}
		if in == 0 {
			t.Errorf("%q: nobody has got in", pattern)
		}
		must(t, s.stop())
		if diff := difference(before, s.tree(t, "")); diff != "" {
			t.Errorf("%q: outside the store:%s", pattern, diff)
		}
	}
}

// tree is all that there is beside the store's root, and in it beside one account's
// directory and the store's own: with sizes and times.
func (s *server) tree(t *testing.T, account string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if in, err := filepath.Rel(s.root, path); err == nil && filepath.IsLocal(in) && in != "." {
			first, _, _ := strings.Cut(in, string(filepath.Separator))
			if account == "" || first == account || strings.HasPrefix(first, ".mailaccess") {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			found[path] = "directory"
			return nil
		}
		found[path] = fmt.Sprintf("%d octets, %v", info.Size(), info.ModTime())
		return nil
	})
	must(t, err)
	return found
}

// difference tells what differs between two trees.
func difference(before, after map[string]string) (diff string) {
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if before[path] != after[path] {
			diff += fmt.Sprintf("\n%q: was %q, is %q", path, before[path], after[path])
		}
	}
	return diff
}

// forgeries are what somebody may call himself, or anything, so that it shows in the log as
// something else: as lines of its own, in colours, backwards.
var forgeries = []string{
	"x\r\n{\"level\":\"error\",\"msg\":\"forged\"}", "x\n2026-01-01T00:00:00Z\tERROR\tforged", "\x1b[31mforged\x1b[0m", "\x1b]0;forged\x07", "x\"},{\"msg\":\"forged\"", "x\\\",\"msg\":\"forged",
	"\u2028forged\u2029", "\u0085forged", "\u009b31mforged", "\u202eforged", "\x7f\x08\x08forged", "\xff\xfe\x9b31mforged", "%s%n%d", "${jndi:ldap://x}", "\tERROR\tforged", "\ufeffforged\u200b",
}

// TestLogInjection: nothing that clients say makes a line of the log, or anything but
// itself of one.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "console"} {
		ctx := within(t, patience)
		s := serve(t, "--log-format", format, "--log-level", "debug")
		must(t, s.deliver("mallory", 3))
		for _, forgery := range forgeries {
			literal := fmt.Sprintf("{%d+}\r\n%s", len(forgery), forgery)
			sasl := base64.StdEncoding.EncodeToString([]byte(forgery + "\x00" + forgery + "\x00" + forgery))
			oauth := base64.StdEncoding.EncodeToString([]byte("n,a=" + forgery + ",\x01auth=Bearer " + forgery + "\x01\x01"))
			for _, script := range []string{
				"a LOGIN " + literal + " " + literal,
				"a AUTHENTICATE PLAIN " + sasl,
				"a AUTHENTICATE OAUTHBEARER " + oauth,
				"a ID (\"name\" " + literal + " " + literal + " \"x\")",
				forgery + " NOOP\r\na " + forgery + "\r\na AUTHENTICATE " + forgery,
			} {
				c, err := s.greeted(ctx, false)
				must(t, err)
				must(t, c.say(script, "\r\nb ID (\"name\" "+literal+")\r\nz LOGOUT\r\n"))
				if _, err = c.until("z OK", "* BYE"); err != nil && !hungUp(err) {
					t.Fatal(err)
				}
				c.close()
			}
			c, err := s.session(ctx, "mallory", false)
			must(t, err)
			for _, utf8 := range []string{"NOOP", "ENABLE UTF8=ACCEPT"} {
				for _, command := range []string{
					utf8, "ID (\"name\" " + literal + " \"version\" " + literal + ")", "CREATE " + literal, "SELECT " + literal, "STATUS " + literal + " (MESSAGES)",
					"SUBSCRIBE " + literal, "RENAME INBOX " + literal, "DELETE " + literal, "APPEND " + literal + " {1+}\r\nx", "SELECT INBOX",
					"SEARCH TEXT " + literal, "FETCH 1 BODY.PEEK[HEADER.FIELDS (" + literal + ")]", "LIST \"\" " + literal, "APPEND INBOX CATENATE (URL " + literal + ")",
					"STORE 1 +FLAGS (x" + strings.Map(printable, forgery) + ")",
				} {
					_, err := c.ask(command)
					must(t, err)
				}
			}
			c.close()
			pop, err := dial(ctx, s.pop3, nil)
			must(t, err)
			must(t, pop.say("USER "+forgery+"\r\nPASS "+forgery+"\r\nAUTH PLAIN "+sasl+"\r\nLANG "+forgery+"\r\nQUIT\r\n"))
			if _, err = pop.until("+OK bye"); err != nil && !hungUp(err) {
				t.Fatal(err)
			}
			pop.close()
			// Nor does what stands where TLS should.
			raw, err := dial(ctx, s.imaps, nil)
			must(t, err)
			must(t, raw.say(forgery, "\r\n\r\n"))
			raw.close()
		}
		// And the names of files that others have put into a Maildir.
		for i, forgery := range forgeries {
			if name := strings.ReplaceAll(forgery, "/", "_"); !strings.Contains(name, "\x00") {
				_ = os.MkdirAll(filepath.Join(s.root, "ann", "."+name, "cur"), 0o700)
				_ = os.WriteFile(filepath.Join(s.root, "mallory", "new", fmt.Sprint(i, name)), []byte("x"), 0o600)
			}
		}
		c, err := s.session(ctx, "ann", true)
		must(t, err)
		must(t, c.oks("LIST \"\" *"))
		c.close()
		must(t, s.stop())
		lines := s.log.all()
		if len(lines) < len(forgeries) {
			t.Errorf("%s: only %d lines were logged", format, len(lines))
		}
		for _, line := range lines {
			if why := wrongLine(format, line); why != "" {
				t.Errorf("%s: %s: %q", format, why, line)
			}
		}
	}
}

func printable(r rune) rune {
	if r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r) {
		return -1
	}
	return r
}

var consoleLine = regexp.MustCompile(`^\d{4}-\d\d-\d\dT[^\t]+\t(DEBUG|INFO|WARN|ERROR)\t[^\t]+(\t\{.*\})?$`)

// wrongLine says what is wrong with a line of the log.
func wrongLine(format, line string) string {
	for _, r := range line {
		if r == unicode.ReplacementChar || r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029') {
			return fmt.Sprintf("there is %U in it", r)
		}
	}
	fields := line
	if format == "console" {
		if !consoleLine.MatchString(line) {
			return "it is not of the form"
		}
		parts := strings.Split(line, "\t")
		if len(parts) < 4 {
			return ""
		}
		fields = parts[3]
	}
	var e map[string]any
	if err := json.Unmarshal([]byte(fields), &e); err != nil {
		return err.Error()
	}
	if format == "json" {
		if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["time"])); err != nil || at.IsZero() || e["level"] == nil {
			return "there is no time or level"
		}
		if e["level"] == "error" {
			return "it is an error"
		}
	}
	if e["msg"] == "forged" {
		return "it is forged"
	}
	return ""
}

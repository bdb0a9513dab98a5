//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The program is killed while it imports and exports, at any time, again and again: in the end
// all has come, and nothing twice.
func TestTransferKilled(t *testing.T) {
	const messages = 600
	dir := t.TempDir()
	var mbox strings.Builder
	for i := range messages {
		// The same text more than once is as many messages.
		fmt.Fprintf(&mbox, "From bob@example.org Mon Jan  1 10:00:%02d 2024\nSubject: %d\n\n%s\n\n", i%60, i/2, strings.Repeat("text ", i))
	}
	source := filepath.Join(dir, "INBOX.mbox")
	if err := os.WriteFile(source, []byte(mbox.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	store := "maildir:" + filepath.Join(dir, "store")
	killedOften(t, dir, "import", "mbox:"+source, "--store", store)
	if out, err := exec.Command("mailaccess", "check", "--store", store).Output(); err != nil || len(out) > 0 {
		t.Errorf("check: %v: %s", err, out)
	}
	for _, place := range []string{"tar:" + filepath.Join(dir, "x.tgz"), "tar:" + filepath.Join(dir, "x.tar"), "mbox:" + filepath.Join(dir, "files"), "maildir:" + filepath.Join(dir, "plain")} {
		killedOften(t, dir, "export", place, "--store", store)
		// What is there comes to an empty store, once.
		out := transferred(t, dir, "import", place, "--store", "maildir:"+filepath.Join(dir, "back", filepath.Base(place)))
		if want := fmt.Sprintf("\ntotal: %d moved ", messages); !bytes.Contains(out, []byte(want)) {
			t.Fatalf("%s: %s; want %q", place, out, want)
		}
	}
}

// killedOften runs the program until it is killed, several times, and then once to its end.
func killedOften(t *testing.T, dir string, args ...string) {
	t.Helper()
	killed := 0
	for range 4 {
		cmd := transferCommand(t.Context(), dir, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Whenever that is: no time is the right one.
		kill := time.AfterFunc(time.Duration(20+rand.IntN(100))*time.Millisecond, func() { cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			killed++
		}
		kill.Stop()
	}
	t.Logf("%s: killed %d times", strings.Join(args[:2], " "), killed)
	transferred(t, dir, args...)
}

func transferCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "mailaccess", append(args, "--user", "ann")...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	return cmd
}

// transferred runs the program, which may not fail.
func transferred(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var stderr bytes.Buffer
	cmd := transferCommand(ctx, dir, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// The exit codes are what a mail server goes by.
func TestDeliverExitCodes(t *testing.T) {
	dir := t.TempDir()
	store := "maildir:" + dir
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		stdin string
		args  []string
		want  int
	}{
		{"Subject: x\n\n", []string{"ann", "--store", store}, 0},
		{"Subject: x\n\n", nil, 64},
		{"Subject: x\n\n", []string{"ann", "bob"}, 64},
		{"Subject: x\n\n", []string{"ann", "--folder", "x"}, 64},
		{"Subject: x\n\n", []string{"ann", "--store", "memory:"}, 64},
		{"Subject: x\n\n", []string{"ann", "--store", "maildir:"}, 64},
		{"Subject: x\n\n", []string{"ann", "--store", "maildir:%x"}, 64},
		{"", []string{"ann", "--store", store}, 65},
		{"Subject: x\n\n", []string{"", "--store", store}, 67},
		{"Subject: x\n\n", []string{"../ann", "--store", store}, 67},
		{"Subject: x\n\n", []string{"ann", "--mailbox", "a//b", "--store", store}, 67},
		{"Subject: x\n\n", []string{"ann", "--store", "maildir:" + file + "/mail"}, 75},
		{"Subject: x\n\n", []string{"file", "--store", store}, 75},
	} {
		code, stdout, stderr := runIn(t, tt.stdin, append([]string{"deliver"}, tt.args...)...)
		if code != tt.want || stdout != "" || (code == 0) != (stderr == "") || strings.Count(stderr, "\n") > 1 {
			t.Errorf("deliver %q: exit code %d, want %d; %q, %q", tt.args, code, tt.want, stdout, stderr)
		}
	}
	if code := run(t.Context(), []string{"deliver", "ann", "--store", store}, brokenInput{}, io.Discard, io.Discard); code != 75 {
		t.Errorf("input that cannot be read: exit code %d, want 75", code)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ended, []string{"deliver", "ann", "--store", store}, strings.NewReader("x"), io.Discard, io.Discard); code != 75 {
		t.Errorf("interrupted: exit code %d, want 75", code)
	}
	left, err := os.ReadDir(filepath.Join(dir, "ann", "new"))
	if err != nil || len(left) != 1 {
		t.Errorf("%d messages, %v; want the one of exit code 0", len(left), err)
	}
}

type brokenInput struct{}

func (brokenInput) Read([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestDeliverCode(t *testing.T) {
	for _, tt := range []struct {
		kind mailaccess.Kind
		err  error
		want int
	}{
		{mailaccess.KindOverQuota, syscall.ENOSPC, 75},
		{mailaccess.KindUnavailable, syscall.EMFILE, 75},
		{mailaccess.KindUnavailable, syscall.EACCES, 75},
		{mailaccess.KindUnavailable, fs.ErrPermission, 75},
		{mailaccess.KindUnavailable, syscall.EROFS, 75},
		{mailaccess.KindInvalid, syscall.ENAMETOOLONG, 75},
		{mailaccess.KindUnavailable, syscall.EIO, 75},
		{mailaccess.KindNotFound, nil, 67},
		{mailaccess.KindInvalid, maildir.ErrEmptyMessage, 65},
		{mailaccess.KindInternal, nil, 75},
	} {
		err := &mailaccess.Error{Kind: tt.kind, Op: "deliver", Err: tt.err}
		if got := deliverCode(fmt.Errorf("wrapped: %w", err)); got != tt.want {
			t.Errorf("%v: exit code %d, want %d", err, got, tt.want)
		}
	}
}

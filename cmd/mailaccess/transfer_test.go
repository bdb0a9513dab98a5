package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
)

// What was carried is told even if a place cannot be closed: its disk is full, say.
func TestTransferAccountAfterClosing(t *testing.T) {
	full := errors.New("close store: no space left on device")
	for _, o := range []*transferring{{}, {json: true}} {
		var out strings.Builder
		report := &transfer.Report{
			Mailboxes: []transfer.MailboxReport{{Name: "INBOX", To: "INBOX", Counts: transfer.Counts{Moved: 7}}}, Total: transfer.Counts{Moved: 7},
		}
		err := o.account(&out, report, full)
		if err == nil || err.Error() != "import: "+full.Error() {
			t.Errorf("%v", err)
		}
		if !o.json {
			if !strings.HasPrefix(out.String(), "INBOX: 7 moved") {
				t.Errorf("told %q", out.String())
			}
			continue
		}
		var told transfer.Report
		if err := json.Unmarshal([]byte(out.String()), &told); err != nil || told.Total.Moved != 7 || told.Error != full.Error() {
			t.Errorf("%v: %s", err, out.String())
		}
	}
}

// A run that has not begun has nothing to account for, but the error.
func TestTransferAccountOfNothing(t *testing.T) {
	var out strings.Builder
	err := new(transferring).account(&out, &transfer.Report{Error: "nobody is there"}, nil)
	if err == nil || err.Error() != "import: nobody is there" || out.Len() > 0 {
		t.Errorf("%v, told %q", err, out.String())
	}
}

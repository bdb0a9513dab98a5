package imap

import (
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// TestEveryKindHasAnAnswer: an error of whatever kind is NO, with a code and a
// text that can stand in a response (RFC 5530, section 3).
func TestEveryKindHasAnAnswer(t *testing.T) {
	for _, kind := range mailaccess.Kinds() {
		st, ok := kindStatus[kind]
		if !ok {
			t.Errorf("%v has no answer", kind)
			continue
		}
		if st.status != "NO" {
			t.Errorf("%v is answered with %s", kind, st.status)
		}
		if st.code == "" || strings.Trim(string(st.code), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			t.Errorf("%v has the code %q", kind, st.code)
		}
		if st.text == "" {
			t.Errorf("%v has no text", kind)
		}
		if (st.code == "SERVERBUG") != (kind == mailaccess.KindInternal) {
			t.Errorf("%v has the code %s", kind, st.code)
		}
	}
	if len(kindStatus) != len(mailaccess.Kinds()) {
		t.Errorf("%d kinds have an answer, there are %d", len(kindStatus), len(mailaccess.Kinds()))
	}
}

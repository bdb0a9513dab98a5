package bench

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
)

// Connections come from as many addresses as they need ports, where every such address is this
// machine's.
func TestSource(t *testing.T) {
	for _, c := range []struct {
		server string
		i      int
		want   net.IP
	}{
		{"127.0.0.1:143", 0, nil},
		{"127.0.0.1:143", ports - 1, nil},
		{"127.0.0.1:143", ports, net.IPv4(127, 0, 0, 2)},
		{"127.0.0.1:143", 49_999, net.IPv4(127, 0, 0, 3)},
		{"192.0.2.1:143", ports, nil},
		{"[::1]:143", ports, nil},
		{"mail.example.org:143", ports, nil},
	} {
		r := &run{Target: &Target{IMAP: c.server}}
		if got := r.source(c.i); !got.Equal(c.want) {
			t.Errorf("%d to %s goes from %v, want %v", c.i, c.server, got, c.want)
		}
	}
}

// More connections than this process may have descriptors are not tried, which is told.
func TestDescriptors(t *testing.T) {
	var missing *notOffered
	if err := descriptorsFor(1 << 40); !errors.As(err, &missing) {
		t.Skip("there is no limit here")
	}
	one := corpus.Corpus{Seed: 1, Messages: 1}
	reports, err := Measure(t.Context(), []*Target{ours(t, one)}, Options{
		Corpus: one, Repeat: 1, Workloads: []string{"idle-memory"}, Connections: 1 << 40,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := reports[0].Results[0]; !strings.HasPrefix(r.NotOffered, "1099511627776 connections: a process may have ") || r.Error != "" || len(r.Samples) > 0 {
		t.Errorf("%+v", r)
	}
}

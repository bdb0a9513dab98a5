package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A deliverer takes messages in, as memory.Store does.
type deliverer interface {
	Deliver(ctx context.Context, account, mailbox string, raw []byte, flags mailaccess.Flags, received time.Time) (mailaccess.Message, error)
}

// deliverArrivals delivers a new message to the INBOX of the demonstration each
// time the interval has passed, until ctx ends.
func deliverArrivals(ctx context.Context, to deliverer, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			_, err := to.Deliver(ctx, demoUser, mailaccess.Inbox, arrival(n, now), mailaccess.Flags{}, now)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return fmt.Errorf("deliver: %w", err)
			}
		}
	}
}

// arrival is the n-th message that arrives, counted from 1.
func arrival(n int, now time.Time) []byte {
	senders := []string{"Ana Pereira <ana@example.com>", "Build <build@example.net>", "Jonas Lind <jonas@example.org>"}
	topics := []string{"Lunch?", "Build passed", "Notes from the call", "Your parcel is on its way", "Photos"}
	return fmt.Appendf(nil, `From: %s
To: demo@example.org
Subject: %s (arrival %d)
Date: %s
Message-ID: <arrival.%d.%d@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

This is message %[3]d of those that arrive while the demonstration runs. A
client that is connected with IDLE shows it without being asked.
`, senders[n%len(senders)], topics[n%len(topics)], n, now.Format(time.RFC1123Z), now.UnixNano(), n)
}

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
)

// everySo is how often a line tells of progress where there is no terminal.
const everySo = 10 * time.Second

// progress shows how far a transfer is: a bar on a terminal, lines elsewhere.
type progress struct {
	w       io.Writer
	bar     *progressbar.ProgressBar // nil: lines
	begun   time.Time
	told    time.Time
	mailbox string
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, begun: time.Now(), told: time.Now()}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(1,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(20),
			progressbar.OptionClearOnFinish(), progressbar.OptionUseANSICodes(true))
	}
	return p
}

// tell shows it. Who cannot be shown it is carried for all the same.
func (p *progress) tell(now transfer.Progress) {
	if p.bar == nil {
		p.line(now)
		return
	}
	if now.Note != "" {
		p.bar.Clear() //nolint:errcheck // see above
		fmt.Fprintf(p.w, "%s: %s\n", now.Mailbox, now.Note)
	}
	// When the bar is full it is over, and more may come.
	p.bar.ChangeMax(max(now.MessagesTotal, now.Messages) + 1)
	p.bar.Describe(fmt.Sprintf("%s, messages %d of %d, %s, %s/s",
		cutText(now.Mailbox, 20), now.Messages, now.MessagesTotal, sizeText(now.Bytes), sizeText(p.rate(now.Bytes))))
	p.bar.Set(now.Messages) //nolint:errcheck // see above
}

func (p *progress) rate(bytes int64) int64 {
	return int64(float64(bytes) / max(time.Since(p.begun).Seconds(), 0.1))
}

func (p *progress) line(now transfer.Progress) {
	if now.Note == "" && (now.Mailbox == p.mailbox || now.Mailbox == "") && time.Since(p.told) < everySo {
		return
	}
	p.mailbox, p.told = now.Mailbox, time.Now()
	note := now.Note
	if note != "" {
		note = ": " + note
	}
	left := ""
	if d := p.left(now); d > 0 {
		left = ", " + d.String() + " left"
	}
	fmt.Fprintf(p.w, "%s (%d of %d), messages %d of %d, %s, %s/s%s%s\n",
		now.Mailbox, now.Mailboxes, now.MailboxesTotal, now.Messages, now.MessagesTotal, sizeText(now.Bytes), sizeText(p.rate(now.Bytes)), left, note)
}

// left is how long the rest takes, if it goes on like this.
func (p *progress) left(now transfer.Progress) time.Duration {
	if now.Messages == 0 || now.Messages >= now.MessagesTotal {
		return 0
	}
	each := time.Since(p.begun) / time.Duration(now.Messages)
	return (each * time.Duration(now.MessagesTotal-now.Messages)).Round(time.Second)
}

func (p *progress) end() {
	if p.bar != nil {
		p.bar.Finish() //nolint:errcheck // see above
	}
}

// sizeText is a size as people read it.
func sizeText(n int64) string {
	units := []string{"octets", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d %s", n, units[0])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// cutText is text with n characters at most.
func cutText(text string, n int) string {
	r := []rune(text)
	if len(r) <= n {
		return text
	}
	return string(r[:n-1]) + "…"
}

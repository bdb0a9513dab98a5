package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"net/http"
	netmail "net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/mail"
)

// source is a feed and what is known of it.
type source struct {
	url    string
	client *http.Client
	etag   string // of the last answer
}

// maxFeed is how long a feed may be, in octets.
const maxFeed = 8 << 20

func newSource(url string) *source {
	return &source{url: url, client: &http.Client{Timeout: 30 * time.Second}}
}

// entry is an entry of a feed.
type entry struct {
	Key   string // by which it is known; part of its Message-ID
	From  string // the title of the feed
	Title string
	Link  string
	HTML  string
	Date  time.Time
}

// fetch returns the entries of the feed as it is now, the oldest first; none when it has not
// changed.
func (s *source) fetch(ctx context.Context) ([]entry, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	if s.etag != "" {
		req.Header.Set("If-None-Match", s.etag) // RFC 9110, section 13.1.2
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return nil, nil
	default:
		return nil, fmt.Errorf("%s: %s", s.url, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxFeed+1))
	if err == nil && len(text) > maxFeed {
		err = fmt.Errorf("longer than %d octets", maxFeed)
	}
	var entries []entry
	if err == nil {
		entries, err = parse(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.url, err)
	}
	s.etag = resp.Header.Get("ETag")
	return entries, nil
}

// parse reads a feed in RSS 2.0.
func parse(text []byte) ([]entry, error) {
	var doc struct {
		XMLName xml.Name `xml:"rss"`
		Channel struct {
			Title string `xml:"title"`
			Items []struct {
				GUID        string `xml:"guid"`
				Title       string `xml:"title"`
				Link        string `xml:"link"`
				Description string `xml:"description"`
				Date        string `xml:"pubDate"`
			} `xml:"item"`
		} `xml:"channel"`
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = charset.Reader
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	items := doc.Channel.Items
	entries := make([]entry, len(items))
	for i, item := range items { // feeds begin with what is new
		id := item.GUID
		if id == "" {
			id = item.Link + "\n" + item.Title
		}
		date, err := netmail.ParseDate(item.Date)
		if err != nil {
			date = time.Now()
		}
		sum := sha256.Sum256([]byte(id))
		entries[len(items)-1-i] = entry{fmt.Sprintf("%x", sum[:12]), doc.Channel.Title, item.Title, item.Link, item.Description, date}
	}
	return entries, nil
}

// message writes an entry as a message: the same octets each time.
func (e entry) message() ([]byte, error) {
	host := "feed.invalid" // RFC 2606, section 2
	if u, err := url.Parse(e.Link); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	var h mail.Header
	h.SetDate(e.Date)
	h.SetSubject(oneLine(e.Title))
	h.SetAddressList("From", []*mail.Address{{Name: oneLine(e.From), Address: "feed@" + host}})
	h.SetMessageID(e.Key + "@" + host)
	h.SetContentType("text/html", map[string]string{"charset": "utf-8"})
	h.Set("Content-Transfer-Encoding", "quoted-printable")
	var b bytes.Buffer
	w, err := mail.CreateSingleInlineWriter(&b, h)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "%s\n<p><a href=\"%[2]s\">%[2]s</a></p>\n", e.HTML, html.EscapeString(e.Link)) //nolint:errcheck // into memory
	return b.Bytes(), w.Close()
}

// oneLine is s as it can stand in a header.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

package prototest

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Citation names a section of an RFC.
type Citation struct {
	RFC     int
	Section string // "6.3.1"; of an appendix its letter, "B"
}

func (c Citation) String() string {
	if c.Section != "" && c.Section[0] >= 'A' {
		return fmt.Sprintf("RFC %d, appendix %s", c.RFC, c.Section)
	}
	return fmt.Sprintf("RFC %d, section %s", c.RFC, c.Section)
}

var (
	citations = regexp.MustCompile(`\bRFC ?([0-9]{1,5}), (?:section ([0-9.]*[0-9])|sections ([0-9.]*[0-9](?:(?:, and |, | and )[0-9.]*[0-9])*)|appendix ([A-Z](?:\.[0-9]+)*))`)
	sections  = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)*`)
	rfcName   = regexp.MustCompile(`^rfc([0-9]+)-([0-9]+(?:\.[0-9]+)*|[A-Z](?:\.[0-9]+)*)[-.]`)
)

// comment notes the title and what the comment cites.
func (p *parser) comment(text string) {
	if p.script.Title == "" {
		p.script.Title = text
	}
	for _, m := range citations.FindAllStringSubmatch(text, -1) {
		rfc, _ := strconv.Atoi(m[1])
		if m[4] != "" {
			p.cite(Citation{rfc, m[4]})
		}
		for _, section := range sections.FindAllString(m[2]+m[3], -1) {
			p.cite(Citation{rfc, section})
		}
	}
}

func (p *parser) cite(c Citation) {
	for _, other := range p.script.Citations {
		if other == c {
			return
		}
	}
	p.script.Citations = append(p.script.Citations, c)
}

func (p *parser) checkCitations() error {
	if len(p.script.Citations) == 0 {
		return fmt.Errorf("no comment cites what is proved, as in: # RFC 3501, section 6.3.1: ...")
	}
	name := path.Base(p.script.File)
	if !strings.HasPrefix(name, "rfc") {
		return nil
	}
	m := rfcName.FindStringSubmatch(name)
	if m == nil {
		return fmt.Errorf("the name is not rfcNNNN-SECTION-words.txt")
	}
	rfc, _ := strconv.Atoi(m[1])
	for _, c := range p.script.Citations {
		if c == (Citation{rfc, m[2]}) {
			return nil
		}
	}
	return fmt.Errorf("no comment cites %v, which the name says is proved", Citation{rfc, m[2]})
}

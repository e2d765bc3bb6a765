package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// The account of the wiki in the test.
const (
	wikiUser     = "ada"
	wikiPassword = "lock and sluice"
)

// wikiConfig is what DokuWiki's manual asks of a web server: PHP, and nobody
// sees its private folders (https://www.dokuwiki.org/security).
const wikiConfig = `root = "wiki"

[backend.php]
php = "auto"

[[route]]
path = "~^/(data|conf|bin|inc|vendor)/"
deny = true

[[route]]
path = "*.php"
backend = "php"
`

// TestDokuWiki uses a real wiki as people do: with a browser, an account, a
// page and a large picture.
func TestDokuWiki(t *testing.T) {
	testpeer.NeedPHP(t, "php-fpm*", "php-fpm", "xml", "gd")
	ctx := bounded(t)
	dir := newWiki(t)
	picture := filepath.Join(dir, "harbour.png")
	sum := writePicture(t, picture)
	b := openTab(ctx, t)
	p := startProgram(ctx, t, "serve", "-c", filepath.Join(dir, "sluice.toml"), "--listen", "127.0.0.1:0")

	text := fmt.Sprintf("The gate was opened at %d.", time.Now().UnixNano())
	b.do(chromedp.Navigate(p.url))
	wikiLogin(b)
	wikiWrite(b, p.url, text)
	wikiUpload(b, picture)
	wikiEmbed(b, p.url, filepath.Base(picture))
	if got := see(b, chromedp.Text(chromedp.ID("dokuwiki__content"))); !strings.Contains(got, text) {
		t.Errorf("the page says %q, want %q in it", got, text)
	}
	wikiPicture(b, sum)
	b.screenshot("dokuwiki.png")
	b.noBadResponses()
	wikiPrivate(ctx, t, dir, p.url)

	processes := descendants(t, p.cmd.Process.Pid)
	if len(processes) < 2 || !strings.HasPrefix(processes[0].name, "php-fpm") {
		t.Errorf("sluice has the processes %v, want a php-fpm with children", processes)
	}
	p.terminate(ctx, t)
}

// newWiki makes a folder with a wiki and a configuration of Sluice for it. The
// wiki's private folders are inside the document root, as in the archive that
// its authors publish: there the web server must protect them. Visitors read;
// who has an account writes.
func newWiki(t *testing.T) string {
	t.Helper()
	// Not t.TempDir, which other users cannot enter: PHP does not run as root.
	dir, err := os.MkdirTemp("", "sluice-dokuwiki-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	must(t, os.Chmod(dir, 0o755))
	testpeer.DokuWiki(t, dir)
	wiki := filepath.Join(dir, "wiki")
	must(t, os.Rename(filepath.Join(dir, "conf"), filepath.Join(wiki, "conf")))
	must(t, os.Rename(filepath.Join(dir, "data"), filepath.Join(wiki, "data")))
	// It only says where Debian keeps these two.
	must(t, os.Remove(filepath.Join(wiki, "inc", "preload.php")))

	write := func(name, text string) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	const head = "# <?php exit()?>\n"
	write("sluice.toml", wikiConfig)
	// MD5 is a format of passwords that DokuWiki still reads, and the only one
	// that needs no code here.
	write("wiki/conf/users.auth.php", fmt.Sprintf("%s%s:%x:Ada:ada@example.org:user\n", head, wikiUser, md5.Sum([]byte(wikiPassword))))
	write("wiki/conf/acl.auth.php", head+"*\t@ALL\t1\n*\t@user\t8\n")
	write("wiki/data/pages/start.txt", "====== Sluice ======\nA wiki behind a gateway.\n")
	settings, err := os.OpenFile(filepath.Join(wiki, "conf", "local.php"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = settings.WriteString("$conf['useacl'] = 1;\n")
	must(t, err)
	must(t, settings.Close())
	if os.Geteuid() == 0 {
		giveAway(t, wiki)
	}
	return dir
}

// giveAway makes somebody else the owner of a folder, as whom root's Sluice
// then runs PHP.
func giveAway(t *testing.T, dir string) {
	t.Helper()
	nobody, err := user.Lookup("nobody")
	must(t, err)
	uid, err := strconv.Atoi(nobody.Uid)
	must(t, err)
	gid, err := strconv.Atoi(nobody.Gid)
	must(t, err)
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pictureSize is what the upload has at the least, in bytes: many times what
// any buffer on the way holds.
const pictureSize = 3_000_000

const wikiPictureWidth = 800 // in pixels

// writePicture makes a PNG and returns its SHA-256. Each color has 16 bits: the
// upper ones show a smooth surface, the lower ones are noise that nothing on
// the way can compress.
func writePicture(t *testing.T, file string) [sha256.Size]byte {
	t.Helper()
	const width, height = wikiPictureWidth, pictureSize/6/wikiPictureWidth + 1
	noise := rand.NewChaCha8([32]byte{}) // the same each time
	picture := image.NewRGBA64(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			n := noise.Uint64()
			shade := func(i, of int) uint16 { return uint16(64+127*i/of) << 8 }
			picture.SetRGBA64(x, y, color.RGBA64{
				R: shade(y, height) | uint16(n&0xff),
				G: shade(x, width) | uint16(n>>8&0xff),
				B: shade(height-y, height) | uint16(n>>16&0xff),
				A: 0xffff,
			})
		}
	}
	var b bytes.Buffer
	must(t, (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, picture))
	if b.Len() < pictureSize {
		t.Fatalf("the picture has %d bytes, want %d or more", b.Len(), pictureSize)
	}
	must(t, os.WriteFile(file, b.Bytes(), 0o600))
	return sha256.Sum256(b.Bytes())
}

// wikiLogin follows the link of the page to the form, and logs in.
func wikiLogin(b *tab) {
	b.t.Helper()
	b.follow(`#dokuwiki__usertools a[href*="do=login"]`)
	b.do(
		chromedp.SendKeys(chromedp.CSS(`#dw__login input[name="u"]`), wikiUser),
		chromedp.SendKeys(chromedp.CSS(`#dw__login input[name="p"]`), wikiPassword),
	)
	b.follow(`#dw__login button[type="submit"]`)
	b.do(chromedp.WaitReady(chromedp.CSS(`#dokuwiki__usertools a[href*="do=logout"]`)))
}

const (
	wikiPage = "/doku.php?id=harbour"
	wikiEdit = `#dokuwiki__pagetools a[href*="do=edit"]`
)

// wikiWrite creates the page with the text, in the editor.
func wikiWrite(b *tab, url, text string) {
	b.t.Helper()
	b.do(chromedp.Navigate(strings.TrimSuffix(url, "/") + wikiPage))
	b.follow(wikiEdit)
	b.do(chromedp.SendKeys(chromedp.ID("wiki__text"), text))
	b.follow("#edbtn__save")
}

// wikiUpload sends the picture with the media manager, which is JavaScript: the
// body is the file itself.
func wikiUpload(b *tab, picture string) {
	b.t.Helper()
	b.follow(`#dokuwiki__sitetools a[href*="do=media"]`)
	b.do(
		chromedp.Click(chromedp.CSS(`a[href*="tab_files=upload"]`)),
		chromedp.SetUploadFiles(chromedp.CSS(`.qq-uploader input[type="file"]`), []string{picture}),
		chromedp.WaitVisible(chromedp.CSS(".qq-upload-name-input")),
		chromedp.Click(chromedp.ID("mediamanager__upload_button")),
		chromedp.WaitVisible(chromedp.CSS(".qq-upload-success")),
	)
}

// wikiEmbed puts the picture into the page, at its end.
func wikiEmbed(b *tab, url, name string) {
	b.t.Helper()
	b.do(chromedp.Navigate(strings.TrimSuffix(url, "/") + wikiPage))
	b.follow(wikiEdit)
	b.do(chromedp.SendKeys(chromedp.ID("wiki__text"), kb.End+kb.Enter+kb.Enter+"{{:"+name+"}}"))
	b.follow("#edbtn__save")
}

// wikiPicture sees the picture on the page, whole.
func wikiPicture(b *tab, sum [sha256.Size]byte) {
	b.t.Helper()
	width := see(b, chromedp.Poll[int](`(i => i && i.complete && i.naturalWidth)(document.querySelector('#dokuwiki__content img.media'))`))
	if width != wikiPictureWidth {
		b.t.Errorf("the natural width of the picture is %d, want %d", width, wikiPictureWidth)
	}
	got := see(b, chromedp.Evaluate[string](`(async () => {
		const response = await fetch(document.querySelector('#dokuwiki__content img.media').src, {cache: 'no-store'});
		const sum = await crypto.subtle.digest('SHA-256', await response.arrayBuffer());
		return [...new Uint8Array(sum)].map(b => b.toString(16).padStart(2, '0')).join('');
	})()`, chromedp.EvalAwaitPromise))
	if want := fmt.Sprintf("%x", sum); got != want {
		b.t.Errorf("the picture comes back with SHA-256 %s, want %s", got, want)
	}
}

// wikiPrivate asks for files that are there and nobody's business, also in the
// spellings that get around a careless gateway.
func wikiPrivate(ctx context.Context, t *testing.T, dir, url string) {
	t.Helper()
	url = strings.TrimSuffix(url, "/")
	for _, file := range []string{
		"conf/users.auth.php", "conf/local.php", "data/pages/start.txt", "data/pages/harbour.txt",
		"bin/dwpage.php", "inc/init.php", "vendor/autoload.php",
	} {
		if _, err := os.Stat(filepath.Join(dir, "wiki", file)); err != nil {
			t.Errorf("nothing is to be hidden: %v", err)
		}
		first, rest, _ := strings.Cut(file, "/")
		for _, path := range []string{
			"/" + file,
			"//" + first + "//" + rest,
			"/lib/../" + file,
			"/lib/%2e%2e/" + file,
			fmt.Sprintf("/%%%02x%s", file[0], file[1:]),
			"/" + first + "%2f" + rest,
			"/" + file + "/x.php",
		} {
			if status := statusOf(ctx, t, url+path); status != http.StatusForbidden && status != http.StatusNotFound {
				t.Errorf("GET %s: status %d, want 403 or 404", path, status)
			}
		}
	}
}

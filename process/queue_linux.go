package process

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/unix_diag.h.
const (
	showQueue  = 0x10 // UDIAG_SHOW_RQLEN
	queueAttr  = 4    // UNIX_DIAG_RQLEN
	listening  = 10   // TCP_LISTEN, which is that of unix sockets, too
	answerHead = 16   // bytes of a unix_diag_msg
)

// A queueQuestion is a netlink message with a unix_diag_req.
type queueQuestion struct {
	header           unix.NlMsghdr
	family, protocol uint8
	_                uint16
	states, inode    uint32
	show             uint32
	cookie           [2]uint32
}

// queued returns how many connections wait to be accepted at a unix socket, as
// sock_diag(7) has it; -1 if that is not known.
func (s *socket) queued() int {
	inode := s.inode()
	if inode == 0 || s.network != "unix" {
		return -1
	}
	answer, err := askSockDiag(uint32(inode))
	if err != nil {
		return -1
	}
	return queueLength(answer)
}

// askSockDiag asks the kernel about a listening unix socket.
func askSockDiag(inode uint32) (answer []byte, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	any := ^uint32(0)
	q := queueQuestion{family: unix.AF_UNIX, states: 1 << listening, inode: inode, show: showQueue, cookie: [2]uint32{any, any}}
	q.header = unix.NlMsghdr{Len: uint32(unsafe.Sizeof(q)), Type: unix.SOCK_DIAG_BY_FAMILY, Flags: unix.NLM_F_REQUEST}
	question := unsafe.Slice((*byte)(unsafe.Pointer(&q)), unsafe.Sizeof(q))
	if err := unix.Sendto(fd, question, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer = make([]byte, 4<<10)
	n, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT) // the kernel has answered by now
	return answer[:max(n, 0)], err
}

// queueLength reads the answer; -1 if it does not say.
func queueLength(answer []byte) int {
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil || len(messages) != 1 || messages[0].Header.Type != unix.SOCK_DIAG_BY_FAMILY {
		return -1
	}
	data := messages[0].Data
	for b := data[min(answerHead, len(data)):]; len(b) >= 8; {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if kind == queueAttr {
			return int(binary.NativeEndian.Uint32(b[4:]))
		}
		b = b[min(max((size+3)&^3, 4), len(b)):]
	}
	return -1
}

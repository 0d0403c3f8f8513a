"""Public mail providers: the spellings that reach the same mailbox, with the provider's page about them.

A provider without a special rule is listed because of the provider's size. The cap of a domain does not apply to users
of a listed provider.
"""

from dataclasses import dataclass
from functools import cache

PLUS = "+"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailProvider:
    """Provider of public mailboxes, with its domains. `source` says where the provider describes its rules.

    `tag_marks`: characters that begin a tag behind the user's name. `ignored`: characters of a name that make no
    difference. `same`: pairs of characters that are equal. `is_one_mailbox`: the same name is one mailbox in all
    domains. `has_user_subdomains`: `tag@name.domain` is delivered to `name@domain`.
    """

    domains: tuple[str, ...]
    source: str = ""
    tag_marks: str = PLUS
    ignored: str = ""
    same: tuple[tuple[str, str], ...] = ()
    is_one_mailbox: bool = False
    has_user_subdomains: bool = False

    def mailbox(self, local: str, domain: str) -> str:
        """Return the canonical spelling of `local` at `domain`, which is one of the provider's domains."""
        name = _untagged(local, self.tag_marks)
        for written, read in self.same:
            name = name.replace(written, read)
        kept = "".join(char for char in name if char not in self.ignored)
        return f"{kept or name}@{self.domains[0] if self.is_one_mailbox else domain}"


def _untagged(local: str, tag_marks: str) -> str:
    """Return the name before the first tag mark. A name that begins with a mark has no tag."""
    for mark in tag_marks:
        local = local.partition(mark)[0] or local
    return local


OTHERS = MailProvider(domains=())
"""Rule for every domain of no public provider: `+` begins a tag at nearly all mail servers (RFC 5233)."""


def _named(*names: str, under: str) -> tuple[str, ...]:
    return tuple(f"{name}.{ending}" for name in names for ending in under.split())


PROVIDERS = (
    MailProvider(
        source="https://support.google.com/mail/answer/7436150",
        domains=("gmail.com", "googlemail.com"),
        ignored=".",
        is_one_mailbox=True,
    ),
    MailProvider(
        source="https://proton.me/support/addresses-and-aliases",
        domains=("proton.me", "protonmail.com", "pm.me", "protonmail.ch"),
        ignored=".-_",
        is_one_mailbox=True,
    ),
    MailProvider(
        source="https://support.apple.com/en-us/102540",
        domains=("icloud.com", "me.com", "mac.com"),
        is_one_mailbox=True,
    ),
    MailProvider(source="https://support.apple.com/en-us/105078", domains=("privaterelay.appleid.com",)),
    MailProvider(
        source="https://yandex.com/support/id/en/authorization/login.html",
        domains=(
            "yandex.ru",
            "ya.ru",
            "yandex.com",
            "narod.ru",
            *_named("yandex", under="az by co.il com.am com.ge com.ru com.tr com.ua ee eu fr kg kz lt lv md pl"),
            *_named("yandex", under="rs st tj tm ua uz"),
        ),
        same=((".", "-"),),
        is_one_mailbox=True,
    ),
    MailProvider(
        source="https://www.fastmail.help/hc/en-us/articles/360060591053",
        domains=(
            *_named("fastmail", under="com fm net org cn co.uk com.au de es fr im in jp mx nl se to tw uk us"),
            *_named(
                "123mail",
                "elitemail",
                "emailengine",
                "emailplus",
                "fast-mail",
                "imapmail",
                "internet-mail",
                under="org",
            ),
            *_named("letterboxes", "mailingaddress", "mailworks", "speedymail", under="org"),
            *_named("150mail", "150ml", "16mail", "2-mail", "50mail", "cluemail", "fast-email", "fastem", under="com"),
            *_named(
                "fastemailer", "fastimap", "fastmessaging", "fmailbox", "fmgirl", "fmguy", "imap-mail", under="com"
            ),
            *_named("inoutbox", "internet-e-mail", "mail-central", "mail-page", "mailandftp", "mailas", under="com"),
            *_named("mailbolt", "mailcan", "mailftp", "mailhaven", "mailite", "mailmight", "mailnew", under="com"),
            *_named("myfastmail", "mymacmail", "postinbox", "proinbox", "promessage", "rushpost", under="com"),
            *_named("sent", "ssl-mail", "swift-mail", "the-quickest", "theinternetemail", "xsmail", under="com"),
            *_named("yepmail", "your-mail", under="com"),
            *_named(
                "4email", "airpost", "allmail", "emailcorner", "emailengine", "emailgroups", "emailuser", under="net"
            ),
            *_named("fastmailbox", "ftml", "hailmail", "internetemails", "internetmailing", "jetemail", under="net"),
            *_named("justemail", "mailc", "mailforce", "mailsent", "mailup", "ml1", "nospammail", under="net"),
            *_named("ownmail", "petml", "postpro", "realemail", "speedpost", "the-fastest", under="net"),
            *_named("veryspeedy", "warpmail", under="net"),
            "eml.cc",
            "f-m.fm",
            "fastest.cc",
            "fea.st",
            "fmail.co.uk",
            "h-mail.us",
            "imap.cc",
            "mailservice.ms",
            "mm.st",
            "petml.com",
            "reallyfast.biz",
            "reallyfast.info",
            "sent.as",
            "sent.at",
            "veryfast.biz",
        ),
        has_user_subdomains=True,
    ),
    MailProvider(
        source="https://help.yahoo.com/kb/SLN28815.html",
        domains=(
            "yahoo.com",
            "ymail.com",
            "rocketmail.com",
            "myyahoo.com",
            *_named("yahoo", under="ae at be bg ca cl cn cz de dk ee es fi fr gr hr hu ie in it lt lv nl no pl pt"),
            *_named("yahoo", under="ro se sk co.id co.il co.in co.jp co.kr co.nz co.th co.uk co.za com.ar com.au"),
            *_named("yahoo", under="com.br com.cn com.co com.hk com.hr com.mx com.my com.pe com.ph com.sg com.tr"),
            *_named("yahoo", under="com.tw com.ua com.ve com.vn ne.jp"),
            "ybb.ne.jp",
        ),
        tag_marks="+-",
    ),
    MailProvider(
        source="https://help.aol.com/articles/create-and-manage-disposable-email-addresses",
        domains=("aol.com", "aim.com", "aol.de", "aol.fr", "aol.co.uk", "aol.it", "love.com", "ygm.com", "games.com"),
        tag_marks="+-",
    ),
    MailProvider(
        source="https://support.microsoft.com/office/459b1989-356d-40fa-a689-8f285b13f1f2",
        domains=(
            *_named("outlook", under="com at be cl co.id co.il co.th com.ar com.au com.br com.gr com.pe com.tr com.vn"),
            *_named("outlook", under="cz de dk es fr hu ie in it jp kr lv my ph pt sa sg sk"),
            *_named("hotmail", under="com be ca ch cl co.id co.il co.in co.jp co.kr co.nz co.th co.uk co.za com.ar"),
            *_named("hotmail", under="com.au com.br com.hk com.mx com.tr com.tw com.vn cz de dk es fi fr gr hu it"),
            *_named("hotmail", under="lt lv my nl no ph rs se sg sk"),
            *_named("live", under="com at be ca ch cl cn co.il co.in co.kr co.uk co.za com.ar com.au com.mx com.my"),
            *_named("live", under="com.ph com.pt com.sg de dk fi fr hk ie in it jp nl no pt ru se"),
            "msn.com",
            "passport.com",
            "windowslive.com",
        ),
    ),
    MailProvider(
        source="https://help.mail.ru/mail/faq/settings/aliases",
        domains=("mail.ru", "bk.ru", "inbox.ru", "internet.ru", "list.ru", "xmail.ru"),
    ),
    MailProvider(
        source="https://cs.daum.net/faq/43",
        domains=("daum.net", "hanmail.net"),
        is_one_mailbox=True,
    ),
    MailProvider(
        source="https://posteo.de/en/help/what-is-an-alias",
        domains=("posteo.de", *_named("posteo", under="net org at ch eu us af be cl co co.uk com.br cr cz dk ee es")),
    ),
    MailProvider(source="https://help.zoho.com/portal/en/kb/mail", domains=("zoho.com", "zohomail.com", "zoho.eu")),
    MailProvider(
        source="https://tuta.com/support",
        domains=("tuta.com", "tutanota.com", "tutanota.de", "tutamail.com", "tuta.io", "keemail.me"),
        tag_marks="",
    ),
    MailProvider(domains=_named("gmx", under="com net de at ch us co.uk fr es it eu info tm org biz")),
    MailProvider(
        domains=(
            "mail.com",
            "email.com",
            "usa.com",
            "europe.com",
            "myself.com",
            "post.com",
            "consultant.com",
            "engineer.com",
        )
    ),
    MailProvider(domains=("web.de", "t-online.de", "freenet.de", "arcor.de", "1und1.de", "online.de", "mailbox.org")),
    MailProvider(domains=("163.com", "126.com", "yeah.net", "vip.163.com", "188.com", "qq.com", "foxmail.com")),
    MailProvider(domains=("sina.com", "sina.cn", "sohu.com", "139.com", "189.cn", "aliyun.com", "tom.com", "21cn.com")),
    MailProvider(domains=("naver.com", "nate.com", "kakao.com", "docomo.ne.jp", "ezweb.ne.jp", "au.com")),
    MailProvider(domains=("softbank.ne.jp", "i.softbank.jp", "nifty.com", "biglobe.ne.jp", "so-net.ne.jp")),
    MailProvider(domains=("rambler.ru", "lenta.ru", "autorambler.ru", "myrambler.ru", "ro.ru")),
    MailProvider(domains=("ukr.net", "i.ua", "meta.ua", "bigmir.net", "tut.by", "abv.bg", "mail.bg", "dir.bg")),
    MailProvider(domains=("seznam.cz", "email.cz", "post.cz", "centrum.cz", "atlas.cz", "volny.cz", "azet.sk")),
    MailProvider(
        domains=("wp.pl", "o2.pl", "onet.pl", "onet.eu", "op.pl", "vp.pl", "poczta.fm", "interia.pl", "tlen.pl")
    ),
    MailProvider(domains=("interia.eu", "gazeta.pl", "poczta.onet.pl", "freemail.hu", "citromail.hu", "indamail.hu")),
    MailProvider(
        domains=("libero.it", "virgilio.it", "alice.it", "tin.it", "tim.it", "tiscali.it", "inwind.it", "iol.it")
    ),
    MailProvider(domains=("fastwebnet.it", "email.it", "aruba.it", "pec.it", "poste.it")),
    MailProvider(
        domains=(
            "orange.fr",
            "wanadoo.fr",
            "free.fr",
            "sfr.fr",
            "neuf.fr",
            "laposte.net",
            "bbox.fr",
            "club-internet.fr",
        )
    ),
    MailProvider(domains=("numericable.fr", "aliceadsl.fr", "hey.com", "runbox.com", "hushmail.com", "pobox.com")),
    MailProvider(
        domains=("telenet.be", "skynet.be", "proximus.be", "ziggo.nl", "kpnmail.nl", "planet.nl", "xs4all.nl")
    ),
    MailProvider(
        domains=("home.nl", "hetnet.nl", "chello.nl", "bluewin.ch", "sunrise.ch", "hispeed.ch", "chello.at", "aon.at")
    ),
    MailProvider(
        domains=("telia.com", "tele2.se", "comhem.se", "online.no", "mail.dk", "jubii.dk", "luukku.com", "kolumbus.fi")
    ),
    MailProvider(domains=("sapo.pt", "iol.pt", "telefonica.net", "terra.es", "ono.com", "movistar.es", "eircom.net")),
    MailProvider(
        domains=("btinternet.com", "bt.com", "sky.com", "virginmedia.com", "virgin.net", "ntlworld.com", "talktalk.net")
    ),
    MailProvider(
        domains=("blueyonder.co.uk", "tiscali.co.uk", "o2.co.uk", "plus.net", "plusnet.com", "btopenworld.com")
    ),
    MailProvider(
        domains=("comcast.net", "xfinity.com", "verizon.net", "att.net", "sbcglobal.net", "bellsouth.net", "cox.net")
    ),
    MailProvider(
        domains=("charter.net", "spectrum.net", "rr.com", "roadrunner.com", "twc.com", "optonline.net", "optimum.net")
    ),
    MailProvider(
        domains=("earthlink.net", "mindspring.com", "juno.com", "netzero.net", "frontier.com", "windstream.net")
    ),
    MailProvider(
        domains=(
            "centurylink.net",
            "q.com",
            "pacbell.net",
            "ameritech.net",
            "swbell.net",
            "prodigy.net",
            "netscape.net",
        )
    ),
    MailProvider(
        domains=("rogers.com", "shaw.ca", "telus.net", "sympatico.ca", "bell.net", "videotron.ca", "cogeco.ca")
    ),
    MailProvider(
        domains=("bigpond.com", "bigpond.net.au", "optusnet.com.au", "iinet.net.au", "tpg.com.au", "xtra.co.nz")
    ),
    MailProvider(
        domains=("uol.com.br", "bol.com.br", "terra.com.br", "ig.com.br", "globo.com", "globomail.com", "r7.com")
    ),
    MailProvider(domains=("prodigy.net.mx", "fibertel.com.ar", "speedy.com.ar", "arnet.com.ar", "ciudad.com.ar")),
    MailProvider(
        domains=("rediffmail.com", "indiatimes.com", "sify.com", "vsnl.net", "walla.co.il", "walla.com", "nana10.co.il")
    ),
    MailProvider(
        domains=("mweb.co.za", "telkomsa.net", "vodamail.co.za", "webmail.co.za", "mynet.com", "superonline.com")
    ),
)


@cache
def _by_domain() -> dict[str, MailProvider]:
    return {domain: provider for provider in PROVIDERS for domain in provider.domains}


def provider_at(domain: str) -> MailProvider | None:
    """Return the public provider of this domain (lower case, ASCII); None for any other domain."""
    return _by_domain().get(domain)


def subdomain_user(domain: str) -> tuple[str, str] | None:
    """Return `name` and the provider's domain if mail to `name.domain` is delivered to `name@domain`, else None."""
    parts = domain.split(".")
    for first in range(1, len(parts) - 1):
        parent = ".".join(parts[first:])
        provider = provider_at(parent)
        if provider is not None and provider.has_user_subdomains:
            return parts[first - 1], parent
    return None

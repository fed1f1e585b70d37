/** Who the users are: names as servers of several domains really have them, not only ASCII ones. */
import { Dice, hash, STREAM } from './random.ts';

export interface Person {
  /** As wszUserName has it: the forms differ by the authentication method. */
  readonly user: string;
  /** wszLogonDomain, at most 15 characters; may be empty. */
  readonly domain: string;
  /** wszRemoteComputer, at most 16 characters; may be empty. */
  readonly computer: string;
}

const FIRST = (
  'Anna Ben Chloé Dmitri Elif Farid Grace Hiroshi Ines Jürgen Katarzyna Liam María Noor Olga Peter Quinn Renée ' +
  'Søren Tomás Ursula Viktor Wendy Ximena Yusuf Zoë Łukasz Aoife Björn Çağla Đorđe Émile François Gülşen'
).split(' ');
const LAST = (
  'Adler Berg Costa Dubois Eriksen Fischer García Hansen Ivanova Jansen Kowalski Lindqvist Müller Nakamura ' +
  "O'Brien Papadopoulou Quist Rossi Schäfer Tanaka Ueda Vogel Weiß Xu Yılmaz Zieliński Ångström Brontë Núñez"
).split(' ');
/** Names written in other scripts, taken by every 37th user. */
const OTHER_SCRIPTS = ['山田', '佐藤 花子', 'Иванов', 'Ελένη', '김민준', 'محمد', 'שרה', 'Ünal 😀'] as const;
const DOMAINS = ['CORP', 'CORP', 'CORP', 'EMEA', 'LAB'] as const;
const REALM = { CORP: 'corp.example.com', EMEA: 'emea.example.net', LAB: 'lab.example.org' } as const;

/** Every 29th slot is a second device of the user before. */
const SECOND_DEVICE = 29;

export function personOf(seed: number, slot: number, machineCertificate: boolean): Person {
  const second = slot % SECOND_DEVICE === SECOND_DEVICE - 1;
  const owner = second ? slot - 1 : slot;
  const dice = new Dice(hash(seed, STREAM.person, owner, 0));
  const domain = dice.pick(DOMAINS);
  const form = dice.unit();
  const name = nameOf(owner);
  const device = `NB-${hash(seed, STREAM.person, slot, 1).toString(36).toUpperCase().slice(0, 7)}`;
  if (machineCertificate)
    return { user: `${device.toLowerCase()}.${REALM[domain]}`, domain: '', computer: device };
  const computer = form < 0.85 ? device : '';
  if (form < 0.45) return { user: `${domain}\\${name}`, domain, computer };
  if (form < 0.75) return { user: `${name}@${REALM[domain]}`, domain: '', computer };
  return { user: name, domain, computer };
}

/** Distinct for every slot. */
function nameOf(slot: number): string {
  const round = Math.floor(slot / (FIRST.length * LAST.length));
  if (slot % 37 === 5) {
    const nth = Math.floor(slot / 37);
    const more = Math.floor(nth / OTHER_SCRIPTS.length);
    return `${OTHER_SCRIPTS[nth % OTHER_SCRIPTS.length] ?? ''}${more > 0 ? String(more + 1) : ''}`;
  }
  // 7919 is prime to both lengths' product: a walk over all pairs before one comes again.
  const pair = (slot * 7919) % (FIRST.length * LAST.length);
  const first = FIRST[pair % FIRST.length] ?? '';
  const last = LAST[Math.floor(pair / FIRST.length)] ?? '';
  return `${first}.${last}${round > 0 ? String(round + 1) : ''}`;
}

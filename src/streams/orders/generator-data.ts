/** Made-up people, real places and plausible goods, for the generator. */

export interface Market {
  readonly locale: string
  readonly currency: string
  /** Country code of phones, and how many digits follow it. */
  readonly phone: readonly [code: string, digits: number]
  /** A digit for each `#`. */
  readonly zip: string
  readonly names: readonly string[]
  /** City and region. */
  readonly cities: readonly (readonly [string, string])[]
  readonly streets: readonly string[]
  readonly banks: readonly string[]
}

export const MARKETS: readonly Market[] = [
  {
    locale: 'en',
    currency: 'USD',
    phone: ['+1', 10],
    zip: '#####',
    names: ["Maeve O'Brien", 'James "Jim" Carter', 'Grace Hopper-Lane', 'Tyrone Wells', 'Anne-Marie Stone'],
    cities: [
      ['Portland', 'Oregon'],
      ['Albuquerque', 'New Mexico'],
      ['St. Louis', 'Missouri'],
    ],
    streets: ['Oak Street', '5th Avenue', "Fisherman's Wharf", 'Martin Luther King Jr. Blvd'],
    banks: ['alpha', 'first national'],
  },
  {
    locale: 'ru',
    currency: 'RUB',
    phone: ['+7', 10],
    zip: '######',
    names: ['Пётр Соколов', 'Анна Лебедева', 'Юрий Щербаков', 'Алёна Ёлкина'],
    cities: [
      ['Казань', 'Республика Татарстан'],
      ['Нижний Новгород', 'Нижегородская область'],
      ['Владивосток', 'Приморский край'],
    ],
    streets: ['ул. Мира', 'Невский пр-т', 'ул. Лётчика Бабушкина', 'пер. Тихий'],
    banks: ['alpha', 'северный'],
  },
  {
    locale: 'he',
    currency: 'ILS',
    phone: ['+972', 9],
    zip: '#######',
    names: ['נועה כהן', 'איתן לוי', 'תמר פרץ'],
    cities: [
      ['קריית מוצקין', 'קריות'],
      ['חיפה', 'חיפה'],
    ],
    streets: ['שדרות רוטשילד', 'רחוב הרצל'],
    banks: ['leumi', 'poalim'],
  },
  {
    locale: 'ar',
    currency: 'AED',
    phone: ['+971', 9],
    zip: '00000',
    names: ['ليلى حداد', 'يوسف منصور', 'مريم العلي'],
    cities: [
      ['دبي', 'إمارة دبي'],
      ['الشارقة', 'إمارة الشارقة'],
    ],
    streets: ['شارع الشيخ زايد', 'شارع الوحدة'],
    banks: ['emirates', 'mashreq'],
  },
  {
    locale: 'zh',
    currency: 'CNY',
    phone: ['+86', 11],
    zip: '######',
    names: ['王小明', '李娜', '欧阳雪', '𠮷田花'],
    cities: [
      ['上海', '上海市'],
      ['成都', '四川省'],
    ],
    streets: ['南京东路', '春熙路'],
    banks: ['招商银行', 'icbc'],
  },
  {
    locale: 'ja',
    currency: 'JPY',
    phone: ['+81', 10],
    zip: '###-####',
    names: ['佐藤 陽子', '高橋 健', 'スミス 恵'],
    cities: [
      ['札幌市', '北海道'],
      ['京都市', '京都府'],
    ],
    streets: ['大通西', '河原町通'],
    banks: ['みずほ', 'ゆうちょ'],
  },
  {
    locale: 'hi',
    currency: 'INR',
    phone: ['+91', 10],
    zip: '######',
    names: ['आरव शर्मा', 'प्रिया नायर'],
    cities: [
      ['जयपुर', 'राजस्थान'],
      ['पुणे', 'महाराष्ट्र'],
    ],
    streets: ['महात्मा गांधी मार्ग', 'लक्ष्मी रोड'],
    banks: ['sbi', 'hdfc'],
  },
  {
    locale: 'de',
    currency: 'EUR',
    phone: ['+49', 10],
    zip: '#####',
    names: ['Jürgen Groß', 'Sabine Müller-Lüdenscheidt', 'Zoë Weiß'],
    cities: [
      ['Köln', 'Nordrhein-Westfalen'],
      ['Görlitz', 'Sachsen'],
    ],
    streets: ['Schloßstraße', 'Am Mühlbach', 'Straße des 17. Juni'],
    banks: ['sparkasse', 'n26'],
  },
  {
    locale: 'el',
    currency: 'EUR',
    phone: ['+30', 10],
    zip: '### ##',
    names: ['Ελένη Παπαδοπούλου', 'Νίκος Γεωργίου'],
    cities: [
      ['Θεσσαλονίκη', 'Κεντρική Μακεδονία'],
      ['Χανιά', 'Κρήτη'],
    ],
    streets: ['Οδός Ερμού', 'Λεωφόρος Νίκης'],
    banks: ['alpha', 'πειραιώς'],
  },
  {
    locale: 'es',
    currency: 'MXN',
    phone: ['+52', 10],
    zip: '#####',
    names: ['José Ñíguez', 'Lucía Peña', 'María de los Ángeles Ruiz'],
    cities: [
      ['Mérida', 'Yucatán'],
      ['Querétaro', 'Querétaro'],
    ],
    streets: ['Av. Insurgentes', 'Calle 60 "La Ceiba"'],
    banks: ['banorte', 'alpha'],
  },
]

/** ASCII, because that is what an address is before its `@`. */
export const MAILBOXES = [
  'anna',
  'peter.k',
  'shop+orders',
  'n_lopez',
  'mail',
  'the-carters',
  'yuki',
  'o.brien',
] as const

/** Hosts that RFC 2606 keeps for examples: no person gets mail from a demo. */
export const MAIL_HOSTS = ['example.com', 'example.org', 'mail.example.net', 'post.example.com'] as const

export interface Product {
  readonly name: string
  readonly brand: string
  /** Before discounts. */
  readonly prices: readonly [min: number, max: number]
  readonly sizes: readonly string[]
}

export const PRODUCTS: readonly Product[] = [
  { name: 'Mascaras', brand: 'Vivienne Sabo', prices: [300, 900], sizes: ['0'] },
  { name: 'Running shoes', brand: 'Fleetfoot', prices: [3_000, 12_000], sizes: ['38', '40', '42.5', '45'] },
  { name: 'Rain jacket "Storm"', brand: 'Nørdhav', prices: [2_500, 9_900], sizes: ['S', 'M', 'L', 'XL'] },
  { name: 'Чайник заварочный, 0,8 л', brand: 'Гжель', prices: [900, 2_400], sizes: ['0'] },
  { name: 'ワイヤレスイヤホン', brand: '音羽', prices: [1_900, 7_500], sizes: ['0'] },
  { name: 'Kids’ pyjamas 🦖', brand: 'Dino & Co', prices: [700, 1_800], sizes: ['92', '104', '116'] },
  { name: 'Desk lamp 12W <warm white>', brand: 'Lumen', prices: [1_100, 3_300], sizes: ['0'] },
  { name: 'قهوة عربية ٥٠٠ غ', brand: 'البن الأصيل', prices: [400, 1_200], sizes: ['500 g'] },
  { name: 'Olive oil 1 l', brand: 'Ελαιώνας', prices: [600, 1_600], sizes: ['1 l', '3 l'] },
  { name: 'USB-C cable, 2 m', brand: 'Plug', prices: [150, 690], sizes: ['2 m'] },
  { name: 'Notebook A5 / dotted', brand: 'Papier d’Été', prices: [200, 800], sizes: ['A5'] },
  { name: 'Yoga mat; 6 mm', brand: 'Śānti', prices: [900, 2_900], sizes: ['183x61'] },
]

export const DELIVERY_SERVICES = ['meest', 'dhl', 'cdek', 'ups', 'postnord', 'yamato'] as const
export const PROVIDERS = ['wbpay', 'stripe', 'adyen', 'sbp'] as const
/** States of an item, in the order in which they follow on one another. */
export const STATUSES = [202, 203, 204, 205] as const

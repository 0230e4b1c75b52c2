/** "Hotel": a hotel system that stands for apaleo, with its kind of scopes and refresh tokens that are good for one use. */

import type { Service, ServiceAccount } from './service.js'

interface House extends ServiceAccount {
  readonly rooms: readonly (readonly [type: string, free: number, of: number, price: number])[]
  readonly arrivals: readonly (readonly [guest: string, nights: number])[]
}

const houses: readonly House[] = [
  {
    id: 'HAMHAF',
    person: 'Greta Lorenz',
    name: 'Hotel am Hafen',
    place: 'Hamburg',
    rooms: [
      ['Single, harbour side', 3, 12, 119],
      ['Double, harbour side', 5, 24, 164],
      ['Suite', 1, 4, 310],
    ],
    arrivals: [
      ['M. Okafor', 2],
      ['Familie Brandt', 4],
    ],
  },
  {
    id: 'BRNEDE',
    person: 'Urs Keller',
    name: 'Berghotel Edelweiss',
    place: 'Bern',
    rooms: [
      ['Double, valley side', 0, 10, 188],
      ['Double, glacier side', 2, 8, 236],
    ],
    arrivals: [['S. Laurent', 7]],
  },
]

export const hotel: Service = {
  key: 'hotel',
  name: 'Hotel (apaleo-like)',
  slogan: 'The front desk, wherever you are',
  accountWord: 'hotel',
  accounts: houses,
  scopes: {
    offline_access: 'Keep access while you are away',
    'availability.read': 'See which rooms are free',
    'reservations.read': 'See who arrives and leaves',
  },
  rotates: true,
  api: [
    { path: '/me', answer: ({ id, name, place }) => ({ body: { account_id: id, name, city: place } }) },
    {
      path: '/availability',
      scope: 'availability.read',
      answer: (account) => ({
        body: { rooms: houseOf(account).rooms.map(([type, free, of, price]) => ({ type, free, of, price })) },
      }),
    },
    {
      path: '/reservations/arrivals',
      scope: 'reservations.read',
      answer: (account) => ({
        body: { arrivals: houseOf(account).arrivals.map(([guest, nights]) => ({ guest, nights })) },
      }),
    },
  ],
}

function houseOf({ id }: ServiceAccount): House {
  const house = houses.find((one) => one.id === id)
  if (!house) throw new Error(`there is no house ${id}`)
  return house
}
